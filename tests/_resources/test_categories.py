"""Categories with the fake in memory, and over sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from plastiq_async import (
    APIResponseError,
    AuthenticationError,
    BadRequestError,
    Categories,
    Category,
    InternalServerError,
    InvalidArgumentError,
    NotFoundError,
    Page,
    PermissionDeniedError,
)
from plastiq_async.testing import FakePlastiq
from tests.support.errors import error_of
from tests.support.internals import page_categories
from tests.support.models import make_info
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.uvicorn_server import in_uvicorn
from tests.support.wirings import WIRINGS

TRACE_ID = "fe278caa-e01d-4910-b975-5c19c21a6d8e"
AN_ID = UUID("0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d")

quickly = pytest.mark.usefixtures("quick_retries")


@pytest.fixture
async def categories(fake_plastiq: FakePlastiq) -> AsyncIterator[Categories]:
    """Return the resource of a session with the fake."""
    async with fake_session(fake_plastiq) as session:
        yield session.categories


async def test_list(categories: Categories, fake_plastiq: FakePlastiq) -> None:
    """All categories come with one request, which has no query."""
    page = await categories.list(trace_id=TRACE_ID)
    assert type(page) is Page
    assert {type(category) for category in page.data} == {Category}
    assert "General Inventory" in {one.display_name for one in page.data}
    assert page.has_next_page is False
    (request,) = fake_plastiq.requests
    assert (request.method, request.path) == ("GET", "/api/categories")
    assert (request.body, request.query) == (b"", {})
    assert request.trace_id == page.response.trace_id == UUID(TRACE_ID)
    assert [one async for one in categories.list()] == list(page.data)
    assert await categories.list().collect(limit=2) == list(page.data[:2])
    assert len(fake_plastiq.requests) == 3


async def test_server_with_pages(
    categories: Categories, fake_plastiq: FakePlastiq
) -> None:
    """If the server announces another page, it is asked for by its offset."""
    everything = (await categories.list()).data
    page_categories(fake_plastiq, 3)
    assert [one async for one in categories.list()] == list(everything)
    assert [request.query for request in fake_plastiq.requests] == [
        {},
        {},
        {"offset": ("3",)},
    ]


async def test_least_response(
    categories: Categories, fake_plastiq: FakePlastiq
) -> None:
    """A category needs its ID alone, and a page its items."""
    fake_plastiq.garble_next(b'{"data": [{"id": "%s"}]}' % str(AN_ID).encode())
    page = await categories.list()
    assert page.data == (Category(id=AN_ID, response=make_info()),)
    assert page.has_next_page is False


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"{}", "$"),
        (b'{"data": [{"displayName": "A"}]}', "$.data[0]"),
        (b'{"data": [{"id": "s3cr3t"}]}', "$.data[0].id"),
    ],
)
async def test_invalid_response(
    body: bytes, path: str, categories: Categories, fake_plastiq: FakePlastiq
) -> None:
    """A page without items, or an item without its ID, is an error."""
    fake_plastiq.garble_next(body)
    error = await error_of(categories.list())
    assert isinstance(error, APIResponseError)
    assert f"@ {path}" in str(error)
    assert "s3cr3t" not in str(error)
    assert (error.outcome_unknown, error.next_step) == (False, "again")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, BadRequestError),
        (401, AuthenticationError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (500, InternalServerError),
    ],
)
async def test_documented_error(
    status: int, kind: type[Exception], fake_plastiq: FakePlastiq
) -> None:
    """Each documented status is an error of its class."""
    fake_plastiq.fail_next(status, on="categories.list")
    async with fake_session(fake_plastiq, max_retries=0) as session:
        error = await error_of(session.categories.list())
    assert type(error) is kind
    assert (error.method, error.path) == ("GET", "/categories")
    assert error.outcome_unknown is False


@quickly
async def test_repeated(categories: Categories, fake_plastiq: FakePlastiq) -> None:
    """A listing is repeated after transient errors."""
    fake_plastiq.fail_next(503)
    fake_plastiq.drop_next(after_processing=True)
    page = await categories.list()
    assert page.response.attempts == 3
    assert len({request.trace_id for request in fake_plastiq.requests}) == 1


async def test_refused_option(
    categories: Categories, fake_plastiq: FakePlastiq
) -> None:
    """An invalid option is refused, and there is neither an offset nor a limit."""
    with pytest.raises(InvalidArgumentError, match=r"^timeout must be"):
        await categories.list(timeout=0)
    for name in ("offset", "limit"):
        with pytest.raises(TypeError, match=rf"^categories\.list\(\) got .* '{name}'"):
            categories.list(**{name: 1})  # type: ignore[arg-type]
    assert fake_plastiq.requests == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("anyio_backend", "transport"), WIRINGS, ids=map("-".join, WIRINGS)
)
async def test_sockets(transport: str, fake_plastiq: FakePlastiq) -> None:
    """Categories are listed over sockets, too."""
    options = {"transport": transport, "verify": ANY_CONTEXT}
    page_categories(fake_plastiq, 3)
    with in_uvicorn(fake_plastiq.app) as url:
        options["base_url"] = f"{url}/api"
        async with fake_session(fake_plastiq, **options) as session:
            names = [one.display_name async for one in session.categories.list()]
    assert len(set(names)) == 4
    assert len(fake_plastiq.requests) == 2
