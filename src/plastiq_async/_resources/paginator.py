"""`Paginator`: the pages of a listing, awaited, iterated over or collected."""

import sys
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Generator
from typing import Any, Generic, TypeVar

import attrs

from plastiq_async._call import check_option_names
from plastiq_async._operation import Operation
from plastiq_async._pipeline import Pipeline
from plastiq_async._resources.base import with_trace_id, without_frames
from plastiq_async._validate import is_count
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page

T = TypeVar("T")

LARGEST_PAGE = 100
"""The API's limit for the items of a page."""
# No listing is longer, and Python writes no integer of more than 4300 digits.
_LARGEST_OFFSET = 2**63 - 1


class Paginator(AsyncIterable[T], Generic[T]):
    """A listing: await it for its first page, or iterate over all of its items.

    ::

        page = await plastiq.payments.list(payer_id, limit=20)
        async for payment in plastiq.payments.list(payer_id):
            ...
        async for page in plastiq.payments.list(payer_id).pages():
            ...
        payments = await plastiq.payments.list(payer_id).collect(limit=500)

    Each page is a call of its own, with its own deadline, and nothing is held between
    pages. All pages of one iteration carry the same trace ID. Awaiting or iterating
    again asks the API again. Items that are added or removed in the meantime shift the
    others, so that one may be seen twice or be missed.

    If a page fails, the error has its offset: `PlastiqError.resume_offset`. The items
    of the pages before have been yielded, and a new listing with ``offset=`` that
    value goes on from there.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        operation: Operation[Page[T]],
        options: CallOptions,
        *,
        limit: int = LARGEST_PAGE,
        offset: int = 0,
    ) -> None:
        check_option_names(operation.name, options)
        if not is_count(limit, least=1) or limit > LARGEST_PAGE:
            msg = f"limit must be an integer from 1 to {LARGEST_PAGE}"
            raise InvalidArgumentError(msg)
        if not is_count(offset, least=0) or offset > _LARGEST_OFFSET:
            msg = f"offset must be an integer from 0 to {_LARGEST_OFFSET}"
            raise InvalidArgumentError(msg)
        self._pipeline = pipeline
        self._operation = operation
        self._options = options
        # The text of an enumeration's member would be its name.
        self._limit = int(limit)
        self._offset = int(offset)

    def __await__(self) -> Generator[Any, None, Page[T]]:
        """Return the first page."""
        return self._fetch(self._offset, self._limit, self._options).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the items of all pages."""
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over the pages, ending at an empty one or at the last."""
        return self._iterate(sys.maxsize)

    async def collect(self, *, limit: int) -> list[T]:
        """Return the items of as many pages as needed.

        An error loses the items of the pages before it. Iterate to keep them.

        Args:
            limit: The most items to return, 1 or more. No page is asked for that is
                not needed, or with more items than are needed if the API takes a limit.

        Returns:
            The items in order, fewer than `limit` if the listing has fewer.

        Raises:
            InvalidArgumentError: `limit` is not an integer of 1 or more.
            PlastiqError: A page failed.
        """
        if not is_count(limit, least=1):
            msg = "limit must be an integer of 1 or more"
            raise InvalidArgumentError(msg)
        pages = self._iterate(limit)
        # The server may send more than it was asked for.
        return [item async for item in _Items(pages)][:limit]

    def _iterate(self, most: int) -> AsyncIterator[Page[T]]:
        """Iterate over the pages of the first `most` items."""
        # Passed on explicitly, since a context variable must not be set across a yield.
        options = with_trace_id(self._options)

        def fetch(offset: int, left: int) -> Awaitable[Page[T]]:
            return self._fetch(offset, min(self._limit, left), options)

        return _Pages(fetch, self._offset, most)

    @without_frames
    async def _fetch(self, offset: int, limit: int, options: CallOptions, /) -> Page[T]:
        """Return the page of at most `limit` items that begins at `offset`."""
        place = {"offset": str(offset), "limit": str(limit)}
        query = {**self._operation.query, **place}
        operation = attrs.evolve(self._operation, query=query, resume_offset=offset)
        return await self._pipeline.run(operation, options)


class _Pages(AsyncIterator[Page[T]]):
    """The pages of one iteration; a `break` would leave a generator suspended."""

    def __init__(
        self,
        fetch: Callable[[int, int], Awaitable[Page[T]]],
        offset: int,
        most: int,
    ) -> None:
        self._fetch = fetch
        self._offset = offset
        self._left = most
        self._more = True

    async def __anext__(self) -> Page[T]:
        if not self._more or self._left <= 0:
            raise StopAsyncIteration
        page = await self._fetch(self._offset, self._left)
        # Not by the limit, since a page that is not the last may have fewer items.
        self._offset += len(page.data)
        self._left -= len(page.data)
        self._more = page.has_next_page
        return page


class _Items(AsyncIterator[T]):
    """The items of one iteration."""

    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._items: deque[T] = deque()

    async def __anext__(self) -> T:
        while not self._items:
            page = await anext(self._pages)
            self._items.extend(page.data)
        return self._items.popleft()
