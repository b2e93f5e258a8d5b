"""Errors of listings: which offset they name, and how to go on from there."""

from __future__ import annotations

import pickle
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import httpx
import pytest

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APITimeoutError,
    ConfigurationError,
    HookError,
    InternalServerError,
    InvalidArgumentError,
    PlastiqError,
    SessionStateError,
)
from plastiq_async._resources.paginator import Paginator
from plastiq_async.middleware import Handler
from tests._resources.listings import offsets_of, session_with
from tests._resources.widgets import Widget
from tests.testing.widgets import FakeWithWidgets

Use: TypeAlias = Callable[[Paginator[Widget]], Awaitable[object]]


async def first_page(listing: Paginator[Widget]) -> None:
    """Await a listing."""
    await listing


async def items(listing: Paginator[Widget]) -> None:
    """Iterate over all items."""
    async for _ in listing:
        pass


async def pages(listing: Paginator[Widget]) -> None:
    """Iterate over all pages."""
    async for _ in listing.pages():
        pass


async def collect(listing: Paginator[Widget]) -> None:
    """Collect all items."""
    await listing.collect(limit=100)


def fail(fake: FakeWithWidgets) -> None:
    """Let the next request fail with a status."""
    fake.fail_next(500)


def drop(fake: FakeWithWidgets) -> None:
    """Let the next request lose its connection."""
    fake.drop_next()


def garble(fake: FakeWithWidgets) -> None:
    """Let the next request get something that is no page."""
    fake.garble_next(b"{}")


def delay(fake: FakeWithWidgets) -> None:
    """Let the next request take longer than the deadline."""
    fake.delay_next(30)


def on_page(number: int, act: Callable[[], object]) -> Callable[..., object]:
    """Return middleware that acts before the n-th page, counted from 0, is sent."""
    sent = 0

    async def middleware(request: httpx.Request, call_next: Handler) -> httpx.Response:
        nonlocal sent
        sent += 1
        if sent == number + 1:
            act()
        return await call_next(request)

    return middleware


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (fail, InternalServerError),
        (drop, APIConnectionError),
        (garble, APIResponseError),
        pytest.param(delay, APITimeoutError, marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    ("use", "page"),
    [(first_page, 0), (items, 0), (items, 2), (pages, 2), (collect, 2)],
)
async def test_offset_of_the_failed_page(
    use: Use,
    page: int,
    fault: Callable[[FakeWithWidgets], None],
    kind: type[PlastiqError],
    fake: FakeWithWidgets,
) -> None:
    """Every way to use a listing, and every error, names the offset of the page."""
    layer = on_page(page, lambda: fault(fake))
    session = session_with(fake, middleware=[layer], max_retries=0, timeout=1)
    async with session:
        with pytest.raises(kind) as info:
            await use(session.widgets.list(limit=1, offset=1))
    error = info.value
    assert type(error) is kind
    assert error.resume_offset == offsets_of(fake)[-1] == 1 + page
    assert str(error).endswith(f", resume from offset {error.resume_offset}]")
    twin = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    assert (twin.resume_offset, str(twin)) == (error.resume_offset, str(error))


async def test_session_closed_between_pages(fake: FakeWithWidgets) -> None:
    """A page that could not even be asked for is named, too."""
    session = session_with(fake)
    listing = aiter(session.widgets.list(limit=2).pages())
    await anext(listing)
    await session.aclose()
    with pytest.raises(SessionStateError, match="resume from offset 2") as info:
        await anext(listing)
    assert info.value.resume_offset == 2


async def test_bad_option(fake: FakeWithWidgets) -> None:
    """An option that is refused is an error of the first page."""
    async with session_with(fake) as session:
        with pytest.raises(InvalidArgumentError) as info:
            await session.widgets.list(offset=3, timeout=-1)
    assert info.value.resume_offset == 3


async def test_other_calls(fake: FakeWithWidgets) -> None:
    """The error of a call that is no listing names no offset."""
    fake.fail_next(500)
    async with session_with(fake, max_retries=0) as session:
        with pytest.raises(InternalServerError) as info:
            await session.widgets.retrieve(fake.payer_id, fake.payer_id)
    assert info.value.resume_offset is None
    assert "resume" not in str(info.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("vault sealed"), ConfigurationError("vault sealed")]
)
@pytest.mark.parametrize("role", ["token provider", "middleware"])
async def test_exception_of_a_hook(
    role: str, error: Exception, fake: FakeWithWidgets
) -> None:
    """What a hook raises passes unchanged, since other listings may get it, too."""

    def provide() -> str:
        if fake.requests:
            raise error
        return fake.access_token

    def rotate() -> None:
        if role == "middleware":
            raise error
        fake.rotate_token("another")

    hooks = {"access_token": provide, "middleware": [on_page(1, rotate)]}
    async with session_with(fake, **hooks) as session:
        with pytest.raises(type(error)) as info:
            await items(session.widgets.list(limit=2))
    assert info.value is error
    assert str(error) == "vault sealed"
    assert vars(error) == {}


async def test_broken_hook(fake: FakeWithWidgets) -> None:
    """The error about a hook that broke its contract is ours, and names the offset."""
    results: list[object] = ["one", None]
    with pytest.raises(HookError, match="token provider") as info:
        async with session_with(fake, access_token=results.pop) as session:
            await session.widgets.list(offset=2)
    assert info.value.resume_offset == 2


async def test_resuming(fake: FakeWithWidgets) -> None:
    """A listing that is resumed after each error yields every item once, in order."""
    for number in range(5, 20):
        fake.add_widget(str(number))
    faults = [fail, drop, garble, fail, drop]
    names: list[str] = []
    offset: int | None = 0
    async with session_with(fake, max_retries=0) as session:
        while offset is not None:
            resumed, offset = offset, None
            try:
                async for widget in session.widgets.list(limit=3, offset=resumed):
                    names.append(widget.name)
                    if faults and len(names) % 3 == 2:
                        faults.pop()(fake)
            except PlastiqError as error:
                offset = error.resume_offset
    assert names == [str(number) for number in range(20)]
    assert offsets_of(fake) == [0, 3, 3, 6, 6, 9, 9, 12, 12, 15, 15, 18]
