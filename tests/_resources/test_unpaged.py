"""Listings without offset and limit: one request, unless the server has more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack
from uuid import UUID

import attrs
import pytest

from plastiq_async import (
    CallOptions,
    InternalServerError,
    InvalidArgumentError,
    Page,
    ResponseInfo,
    trace_context,
)
from plastiq_async._resources.paginator import Paginator
from plastiq_async._resources.unpaged import UnpagedListing
from plastiq_async.testing._routing import ApiRequest, ApiResponse, FakeState, Route
from tests._resources.listings import trace_ids_of
from tests._resources.widgets import SessionWithWidgets
from tests.support.internals import make_operation
from tests.testing.widgets import FakeWithWidgets


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of widget."""

    id: UUID
    name: str
    response: ResponseInfo = attrs.field(repr=False, eq=False)


@attrs.define
class Kinds:
    """The kinds of one fake, and how it lists them.

    Attributes:
        count: How many there are.
        pages: The pages by the offset that is asked for, as ranges of kinds. An offset
            that is not among them gets the first page.
        pagination: What is reported for each offset; None for nothing.
    """

    count: int = 5
    pages: dict[int, Sequence[int]] = attrs.Factory(dict)
    pagination: dict[int, object] = attrs.Factory(dict)


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """List the kinds."""
    kinds = state.of(Kinds)
    offset = int(request.query.get("offset", 0))
    numbers = kinds.pages.get(offset, kinds.pages.get(0, range(kinds.count)))
    data = [{"id": str(UUID(int=number)), "name": str(number)} for number in numbers]
    return ApiResponse({"data": data, "pagination": kinds.pagination.get(offset)})


class FakeWithKinds(FakeWithWidgets):
    """A fake whose listing of kinds refuses every query but an offset."""

    routes = (
        *FakeWithWidgets.routes,
        Route(
            operation="kinds.list",
            method="GET",
            path="/kinds",
            handler=list_,
            query=("offset",),
        ),
    )

    @property
    def kinds(self) -> Kinds:
        """The kinds."""
        return self._state.of(Kinds)


class SessionWithKinds(SessionWithWidgets):
    """A session that lists kinds."""

    def list_kinds(self, **options: Unpack[CallOptions]) -> Paginator[Kind]:
        """List all kinds."""
        operation = make_operation(
            name="kinds.list", method="GET", path="/kinds", result=Page[Kind]
        )
        return UnpagedListing(self._pipeline, operation, options)


@pytest.fixture
def fake() -> FakeWithKinds:
    """Return a fake with five kinds, called 0 to 4."""
    return FakeWithKinds()


def session_with(fake: FakeWithKinds, **options: Any) -> SessionWithKinds:
    """Return a session with a fake."""
    return SessionWithKinds(
        fake.access_token, base_url=fake.base_url, transport=fake.transport, **options
    )


def queries_of(fake: FakeWithKinds) -> list[dict[str, tuple[str, ...]]]:
    """Return the queries that the fake got."""
    return [dict(request.query) for request in fake.requests]


def names_of(kinds: Sequence[Kind]) -> list[str]:
    """Return the names of kinds."""
    return [kind.name for kind in kinds]


@pytest.mark.parametrize(
    "pagination",
    [
        None,
        {},
        {"total": 9},
        {"limit": 5},
        {"offset": 0, "limit": 5, "total": 9},
        {"hasNextPage": None, "total": 9},
        {"hasNextPage": False, "total": 9},
    ],
)
async def test_one_request(pagination: object, fake: FakeWithKinds) -> None:
    """One request without a query is enough, unless `hasNextPage` is true."""
    fake.kinds.pagination[0] = pagination
    async with session_with(fake) as session:
        listing = session.list_kinds()
        page = await listing
        assert type(page) is Page
        assert names_of(page.data) == ["0", "1", "2", "3", "4"]
        assert {type(kind) for kind in page.data} == {Kind}
        assert page.has_next_page is False
        assert page.response.status == 200
        reported = pagination if isinstance(pagination, dict) else {}
        assert page.total == reported.get("total")
        assert [kind async for kind in listing] == list(page.data)
        assert [page async for page in listing.pages()] == [page]
        assert await listing.collect(limit=9) == list(page.data)
        assert await listing.collect(limit=2) == list(page.data[:2])
    assert queries_of(fake) == [{}] * 5


async def test_nothing(fake: FakeWithKinds) -> None:
    """An empty page is the end, even if another one is announced."""
    fake.kinds.count = 0
    fake.kinds.pagination[0] = {"hasNextPage": True}
    async with session_with(fake) as session:
        assert [kind async for kind in session.list_kinds()] == []
        page = await session.list_kinds()
    assert (page.data, page.has_next_page) == ((), False)
    assert queries_of(fake) == [{}] * 2


async def test_server_with_pages(fake: FakeWithKinds) -> None:
    """Pages that the server announces are asked for by their offset alone."""
    fake.kinds.pages = {0: [0, 1], 2: [2, 3, 4], 5: [5]}
    fake.kinds.pagination = {0: {"hasNextPage": True}, 2: {"hasNextPage": True}}
    async with session_with(fake) as session:
        listing = session.list_kinds()
        assert (await listing).has_next_page is True
        kinds = [kind async for kind in listing]
        assert await listing.collect(limit=4) == kinds[:4]
    assert names_of(kinds) == ["0", "1", "2", "3", "4", "5"]
    offsets = [{}, {"offset": ("2",)}, {"offset": ("5",)}]
    assert queries_of(fake) == [{}, *offsets, *offsets[:2]]
    assert len(set(trace_ids_of(fake))) == 3


async def test_server_that_ignores_the_offset(fake: FakeWithKinds) -> None:
    """If the same page comes again and again, it ends the listing at once."""
    fake.kinds.pagination = {0: {"hasNextPage": True}, 5: {"hasNextPage": True}}
    async with session_with(fake) as session:
        items = aiter(session.list_kinds())
        assert len([kind async for kind in items]) == 5
        assert await anext(items, None) is None
        pages = session.list_kinds().pages()
        assert [names_of(page.data) async for page in pages] == [list("01234")]
        assert await anext(pages, None) is None
        assert len(await session.list_kinds().collect(limit=100)) == 5
    assert queries_of(fake) == [{}, {"offset": ("5",)}] * 3


@pytest.mark.parametrize("last", [[0, 5], [1], [3, 4]])
async def test_page_that_begins_with_a_seen_item(
    last: list[int], fake: FakeWithKinds
) -> None:
    """A page that begins with any item seen before ends the listing."""
    fake.kinds.pages = {0: [0, 1], 2: [2, 3], 4: last}
    fake.kinds.pagination = {0: {"hasNextPage": True}, 2: {"hasNextPage": True}}
    async with session_with(fake) as session:
        kinds = [kind async for kind in session.list_kinds()]
    assert names_of(kinds) == ["0", "1", "2", "3"]
    assert len(fake.requests) == 3


async def test_page_with_a_seen_item_further_down(fake: FakeWithKinds) -> None:
    """A page that begins with a new item is yielded whole, as other listings do."""
    fake.kinds.pages = {0: [0, 1], 2: [2, 1]}
    fake.kinds.pagination = {0: {"hasNextPage": True}}
    async with session_with(fake) as session:
        kinds = [kind async for kind in session.list_kinds()]
    assert names_of(kinds) == ["0", "1", "2", "1"]


async def test_each_iteration_for_itself(fake: FakeWithKinds) -> None:
    """What one iteration has seen is new to another one, and so is its trace ID."""
    async with session_with(fake) as session:
        listing = session.list_kinds()
        one, other = aiter(listing), aiter(listing)
        assert await anext(one) == await anext(other)
        assert len([kind async for kind in one]) == 4
        assert len([kind async for kind in other]) == 4
        with trace_context() as outer:
            await listing
    ids = trace_ids_of(fake)
    assert len(set(ids)) == 3
    assert ids[-1] == outer


async def test_failure(fake: FakeWithKinds) -> None:
    """An error names no offset, because the listing takes none; it can go on."""
    fake.kinds.pages = {0: [0, 1], 2: [2]}
    fake.kinds.pagination = {0: {"hasNextPage": True}}
    async with session_with(fake, max_retries=0) as session:
        items = aiter(session.list_kinds())
        names = names_of([await anext(items), await anext(items)])
        fake.fail_next(500)
        with pytest.raises(InternalServerError) as info:
            await anext(items)
        names += [kind.name async for kind in items]
    assert info.value.resume_offset is None
    assert names == ["0", "1", "2"]


async def test_options(fake: FakeWithKinds) -> None:
    """Options are checked as those of other listings are."""
    async with session_with(fake) as session:
        with pytest.raises(TypeError, match="unexpected keyword argument 'limit'"):
            session.list_kinds(limit=5)  # type: ignore[call-arg]
        with pytest.raises(InvalidArgumentError, match="limit"):
            await session.list_kinds().collect(limit=0)
    assert fake.requests == []
