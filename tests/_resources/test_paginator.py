"""Listings: their pages, their items, and what happens in between."""

from __future__ import annotations

import gc
import weakref
from contextlib import suppress
from enum import Enum
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import anyio.lowlevel
import pytest

from plastiq_async import (
    APIResponseError,
    APITimeoutError,
    BadRequestError,
    EndUser,
    InternalServerError,
    InvalidArgumentError,
    Page,
    trace_context,
)
from tests._resources.listings import (
    garble_page,
    names_of,
    offsets_of,
    session_with,
    trace_ids_of,
)
from tests._resources.widgets import Widget
from tests.support.timing import eventually
from tests.testing.widgets import FakeWithWidgets

# --- pages and items ---


async def test_first_page(fake: FakeWithWidgets) -> None:
    """A listing that is awaited returns its first page."""
    async with session_with(fake) as session:
        page = await session.widgets.list(limit=2, offset=1)
    assert isinstance(page, Page)
    assert names_of(page) == ["1", "2"]
    assert {type(widget) for widget in page.data} == {Widget}
    assert (page.offset, page.limit, page.total) == (1, 2, 5)
    assert page.has_next_page is True
    assert (page.response.status, page.response.attempts) == (200, 1)
    assert trace_ids_of(fake) == [page.response.trace_id]


async def test_largest_pages_by_default(fake: FakeWithWidgets) -> None:
    """A listing asks for pages of 100 from the beginning."""
    async with session_with(fake) as session:
        page = await session.widgets.list()
    assert fake.requests[0].query == {"offset": ("0",), "limit": ("100",)}
    assert page.has_next_page is False


@pytest.mark.parametrize(
    ("limit", "offset", "offsets"),
    [
        (2, 0, [0, 2, 4]),
        (5, 0, [0]),
        (1, 3, [3, 4]),
        (100, 0, [0]),
        (2, 5, [5]),
        (2, 9, [9]),
    ],
)
async def test_all_items(
    limit: int, offset: int, offsets: list[int], fake: FakeWithWidgets
) -> None:
    """A listing that is iterated over yields the items of all pages in order."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=limit, offset=offset)
        names = [widget.name async for widget in listing]
    assert names == [str(number) for number in range(offset, 5)]
    assert offsets_of(fake) == offsets


async def test_pages(fake: FakeWithWidgets) -> None:
    """The pages of a listing can be iterated over, too."""
    async with session_with(fake) as session:
        listing = session.widgets.list(fake.payer_id, limit=2)
        pages = [page async for page in listing.pages()]
    assert [names_of(page) for page in pages] == [["0", "1"], ["2", "3"], ["4"]]
    assert [page.offset for page in pages] == offsets_of(fake) == [0, 2, 4]
    assert [page.has_next_page for page in pages] == [True, True, False]
    for request in fake.requests:
        assert request.query["payerId"] == (str(fake.payer_id),)


async def test_nothing_is_asked_ahead(fake: FakeWithWidgets) -> None:
    """A page is asked for only when its first item is."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        items = aiter(listing)
        assert offsets_of(fake) == []
        assert [(await anext(items)).name, (await anext(items)).name] == ["0", "1"]
        assert offsets_of(fake) == [0]
        assert (await anext(items)).name == "2"
        assert offsets_of(fake) == [0, 2]


async def test_end(fake: FakeWithWidgets) -> None:
    """An iteration that has ended stays ended, and asks no more."""
    async with session_with(fake) as session:
        items = aiter(session.widgets.list())
        assert len([widget async for widget in items]) == 5
        assert await anext(items, None) is None
    assert offsets_of(fake) == [0]


async def test_asked_anew(fake: FakeWithWidgets) -> None:
    """Each `await` and each iteration asks the server again."""
    async with session_with(fake) as session:
        listing = session.widgets.list()
        assert len((await listing).data) == 5
        fake.add_widget("5")
        assert len((await listing).data) == 6
        fake.add_widget("6")
        assert len([widget async for widget in listing]) == 7
        fake.add_widget("7")
        assert len([widget async for widget in listing]) == 8
        assert len([page async for page in listing.pages()]) == 1
    assert offsets_of(fake) == [0] * 5


# --- changes between pages ---


async def test_item_added_between_pages(fake: FakeWithWidgets) -> None:
    """An item that is added in front is not seen, and another one is seen twice."""
    names = []
    async with session_with(fake) as session:
        async for widget in session.widgets.list(limit=2):
            names.append(widget.name)
            if widget.name == "0":
                new = fake.add_widget("new")
                by_id = fake.widgets.by_id
                fake.widgets.by_id = {new.id: new, **by_id}
    assert names == ["0", "1", "1", "2", "3", "4"]


async def test_item_appended_between_pages(fake: FakeWithWidgets) -> None:
    """An item that is added at the end is seen."""
    names = []
    async with session_with(fake) as session:
        async for widget in session.widgets.list(limit=2):
            names.append(widget.name)
            if widget.name == "2":
                fake.add_widget("new")
    assert names == ["0", "1", "2", "3", "4", "new"]
    assert offsets_of(fake) == [0, 2, 4]


async def test_items_removed_between_pages(fake: FakeWithWidgets) -> None:
    """After a removal in front an item is missed, and the iteration still ends."""
    names = []
    async with session_with(fake) as session:
        async for widget in session.widgets.list(limit=2):
            names.append(widget.name)
            if widget.name == "1":
                await session.widgets.delete(widget.id)
            if widget.name == "4":
                fake.widgets.by_id.clear()
    assert names == ["0", "1", "3", "4"]
    assert offsets_of(fake) == [0, 2]


async def test_all_items_removed_between_pages(fake: FakeWithWidgets) -> None:
    """An empty page ends the iteration, even if another one was announced."""
    async with session_with(fake) as session:
        items = aiter(session.widgets.list(limit=2))
        await anext(items)
        fake.widgets.by_id.clear()
        assert [widget.name async for widget in items] == ["1"]
    assert offsets_of(fake) == [0, 2]


# --- what the server reports ---


@pytest.mark.parametrize(
    ("pagination", "more"),
    [
        (None, True),
        ({}, True),
        ({"total": 5}, True),
        ({"total": 2}, False),
        ({"total": 5, "offset": 3}, False),
        ({"total": 5, "hasNextPage": None}, True),
        ({"limit": 2}, True),
        ({"limit": 3}, False),
        ({"hasNextPage": False, "total": 5}, False),
        ({"hasNextPage": True, "total": 2}, True),
    ],
)
async def test_reported_pagination(
    pagination: object, more: bool, fake: FakeWithWidgets
) -> None:
    """Without `hasNextPage`, the total or the limit says whether there is more."""
    garble_page(fake, 2, pagination)
    async with session_with(fake) as session:
        names = [widget.name async for widget in session.widgets.list(limit=2)]
    assert names == (["0", "1", "2", "3", "4"] if more else ["0", "1"])
    assert offsets_of(fake) == ([0, 2, 4] if more else [0])


async def test_until_an_empty_page(fake: FakeWithWidgets) -> None:
    """If the server reports nothing at all, only an empty page is the end."""
    for count in (2, 1, 0):
        garble_page(fake, count, None)
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        pages = [names_of(page) async for page in listing.pages()]
    assert pages == [["0", "1"], ["0"], []]
    assert offsets_of(fake) == [0, 2, 3]


async def test_shorter_page(fake: FakeWithWidgets) -> None:
    """The next page begins after the items received, not after the limit."""
    garble_page(fake, 1, {"hasNextPage": True, "limit": 2, "offset": 0})
    async with session_with(fake) as session:
        names = [widget.name async for widget in session.widgets.list(limit=2)]
    assert names == ["0", "1", "2", "3", "4"]
    assert offsets_of(fake) == [0, 1, 3]


async def test_endless_server(fake: FakeWithWidgets) -> None:
    """A listing without an end can be left at any time, and holds one page at most."""
    garble_page(fake, 3, {"hasNextPage": True, "offset": 0, "total": 3}, times=10**9)
    seen: list[weakref.ref[Widget]] = []
    async with session_with(fake) as session:
        async for widget in session.widgets.list():
            seen.append(weakref.ref(widget))
            assert sum(one() is not None for one in seen) <= 3
            if len(seen) == 100:
                break
    assert offsets_of(fake) == list(range(0, 100, 3))


# --- errors, cancellation, and leaving early ---


async def test_failing_page(fake: FakeWithWidgets) -> None:
    """A page that fails raises, and iterating on asks for the same page again."""
    names: list[str] = []
    async with session_with(fake, max_retries=0) as session:
        items = aiter(session.widgets.list(limit=2))
        names += [(await anext(items)).name, (await anext(items)).name]
        fake.fail_next(500)
        with pytest.raises(InternalServerError) as info:
            await anext(items)
        assert names == ["0", "1"]
        fake.garble_next(b'{"data": [{}]}')
        with pytest.raises(APIResponseError, match=r"missing @ \$\.data\[0\]\.payer"):
            await anext(items)
        names += [widget.name async for widget in items]
    assert names == ["0", "1", "2", "3", "4"]
    assert offsets_of(fake) == [0, 2, 2, 2, 4]
    error = info.value
    assert (error.method, error.path) == ("GET", "/widgets")
    assert (error.next_step, error.outcome_unknown) == ("again", False)
    assert len(set(trace_ids_of(fake))) == 1


@pytest.mark.usefixtures("quick_retries")
async def test_page_is_retried(fake: FakeWithWidgets) -> None:
    """Each page has retries of its own."""
    fake.fail_next(503, times=2)
    async with session_with(fake) as session:
        attempts = []
        async for page in session.widgets.list(limit=2).pages():
            attempts.append(page.response.attempts)
            fake.drop_next(times=2)
    assert attempts == [3, 3, 3]
    assert offsets_of(fake) == [0, 0, 0, 2, 2, 2, 4, 4, 4]


async def test_cancelled_in_the_middle(fake: FakeWithWidgets) -> None:
    """After a cancellation the iteration goes on where it was."""
    async with session_with(fake, max_connections=1) as session:
        items = aiter(session.widgets.list(limit=2))
        names = [(await anext(items)).name, (await anext(items)).name]
        fake.delay_next(30)

        async def fetch() -> None:
            await anext(items)

        async with anyio.create_task_group() as group:
            group.start_soon(fetch)
            await eventually(lambda: len(fake.requests) == 2)
            group.cancel_scope.cancel()
        names += [widget.name async for widget in items]
    assert names == ["0", "1", "2", "3", "4"]
    assert offsets_of(fake) == [0, 2, 2, 4]


@pytest.mark.slow
async def test_left_early(fake: FakeWithWidgets) -> None:
    """A loop that is left leaves nothing behind that somebody has to close."""
    async with session_with(fake, max_connections=1) as session:
        for _ in range(3):
            async for _ in session.widgets.list(limit=2):
                break
            async for _ in session.widgets.list(limit=2).pages():
                break
            with suppress(ZeroDivisionError):
                async for _ in session.widgets.list(limit=2):
                    raise ZeroDivisionError
            # The event loops warn of suspended generators, which is an error here.
            gc.collect()
            await anyio.lowlevel.checkpoint()
    assert offsets_of(fake) == [0] * 9


# --- each page is a call of its own ---


@pytest.mark.slow
async def test_deadline_of_each_page(fake: FakeWithWidgets) -> None:
    """The deadline is for one page, however many follow and whatever comes between."""
    # The pages take longer than one deadline, and each far less than its own.
    fake.delay_next(0.5, times=3)
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2, timeout=1.4)
        assert [widget.name async for widget in listing] == ["0", "1", "2", "3", "4"]
        items = aiter(session.widgets.list(limit=1, timeout=1.4))
        await anext(items)
        fake.delay_next(30)
        with pytest.raises(APITimeoutError):
            await anext(items)


async def test_permit_between_pages(fake: FakeWithWidgets) -> None:
    """Another call can run between two pages, even with a single connection."""
    names = []
    async with session_with(fake, max_connections=1, timeout=5) as session:
        async for widget in session.widgets.list(limit=1):
            same = await session.widgets.retrieve(widget.id, fake.payer_id)
            names.append(same.name)
            async for page in session.widgets.list().pages():
                assert len(page.data) == 5
    assert names == ["0", "1", "2", "3", "4"]


async def test_iterations_side_by_side(fake: FakeWithWidgets) -> None:
    """Two iterations over one listing do not disturb each other."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        one, other = aiter(listing), aiter(listing)
        names = []
        for _ in range(5):
            names += [(await anext(one)).name, (await anext(other)).name]
    assert names == [str(number) for number in range(5) for _ in range(2)]


async def test_options_of_each_page(fake: FakeWithWidgets) -> None:
    """Every page is asked for with the options of the listing, or of its view."""
    options: list[dict[str, Any]] = [{"end_user": EndUser(ip="203.0.113.8")}, {}]
    async with session_with(fake) as session:
        view = session.with_options(end_user=EndUser(ip="203.0.113.7"))
        for each in options:
            async for _ in view.widgets.list(limit=3, **each):
                pass
    assert [request.headers["end-user-ip"] for request in fake.requests] == [
        *["203.0.113.8"] * 2,
        *["203.0.113.7"] * 2,
    ]


# --- trace IDs ---


async def test_trace_id_of_an_iteration(fake: FakeWithWidgets) -> None:
    """The pages of an iteration share a trace ID; the next iteration has another."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        widgets = [widget async for widget in listing]
        widgets += [widget async for widget in listing]
        pages = [await listing, await listing]
    ids = trace_ids_of(fake)
    assert len(ids) == 8
    assert len(set(ids[:3])) == len(set(ids[3:6])) == 1
    assert len(set(ids)) == 4
    assert {widget.response.trace_id for widget in widgets} == set(ids[:6])
    assert [page.response.trace_id for page in pages] == ids[6:]


@pytest.mark.parametrize("as_text", [False, True])
async def test_given_trace_id(as_text: bool, fake: FakeWithWidgets) -> None:
    """A trace ID that is given is sent with every page, whatever the context says."""
    trace_id = uuid4()
    async with session_with(fake) as session:
        with trace_context():
            listing = session.widgets.list(
                limit=2, trace_id=str(trace_id) if as_text else trace_id
            )
            await listing
            async for _ in listing:
                pass
    assert trace_ids_of(fake) == [trace_id] * 4


async def test_trace_context(fake: FakeWithWidgets) -> None:
    """An iteration keeps the trace ID of the context in which it began."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        with trace_context() as outer:
            await listing
            items = aiter(listing)
            await anext(items)
            await anext(items)
        with trace_context() as other:
            await anext(items)
            await session.widgets.list()
        async for _ in items:
            pass
        await listing
    assert trace_ids_of(fake)[:5] == [outer, outer, outer, other, outer]
    assert trace_ids_of(fake)[5] not in {outer, other}


# --- arguments ---


LAST = 2**63 - 1


class Size(int, Enum):
    """Numbers whose text is their name."""

    SMALL = 2


async def test_numbers_of_an_enumeration(fake: FakeWithWidgets) -> None:
    """A member of an enumeration counts as its number."""
    async with session_with(fake) as session:
        page = await session.widgets.list(limit=Size.SMALL, offset=Size.SMALL)
    assert (page.offset, page.limit) == (2, 2)


async def test_largest_offset(fake: FakeWithWidgets) -> None:
    """The largest offset is sent, and named by the error."""
    async with session_with(fake) as session:
        with pytest.raises(BadRequestError) as info:
            await session.widgets.list(offset=LAST)
    assert info.value.resume_offset == LAST


@pytest.mark.parametrize("limit", [0, -1, 101, 1.0, "10", True, None])
async def test_bad_limit(limit: Any, fake: FakeWithWidgets) -> None:
    """The limit is checked at once, and so is its type."""
    async with session_with(fake) as session:
        with pytest.raises(
            InvalidArgumentError, match=r"^limit must be an integer from 1 to 100$"
        ):
            session.widgets.list(limit=limit)


@pytest.mark.parametrize("offset", [-1, 0.0, "0", False, None, 2**63])
async def test_bad_offset(offset: Any, fake: FakeWithWidgets) -> None:
    """The offset is checked at once, and so is its type."""
    async with session_with(fake) as session:
        with pytest.raises(
            InvalidArgumentError, match=rf"^offset must be an integer from 0 to {LAST}$"
        ):
            session.widgets.list(offset=offset)


@pytest.mark.parametrize("trace_id", ["", "x", 0])
async def test_bad_trace_id(trace_id: Any, fake: FakeWithWidgets) -> None:
    """An invalid trace ID is refused before a page is asked for."""
    async with session_with(fake) as session:
        listing = session.widgets.list(trace_id=trace_id)
        for ask in (partial(anext, aiter(listing)), partial(anext, listing.pages())):
            with pytest.raises(InvalidArgumentError, match=r"^trace_id must be"):
                await ask()
        with pytest.raises(InvalidArgumentError, match=r"^trace_id must be"):
            await listing
    assert fake.requests == []
