"""`Paginator`: the pages of a listing, awaited or iterated over."""

from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Generator
from typing import Any, Generic, TypeVar
from uuid import uuid4

import attrs

from plastiq_async._call import check_option_names
from plastiq_async._operation import Operation
from plastiq_async._pipeline import Pipeline
from plastiq_async._validate import is_count
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page
from plastiq_async.tracing import current_trace_id

T = TypeVar("T")

LARGEST_PAGE = 100
"""The API's limit for the items of a page."""


class Paginator(AsyncIterable[T], Generic[T]):
    """A listing: await it for its first page, or iterate over all of its items.

    ::

        page = await plastiq.payments.list(payer_id, limit=20)
        async for payment in plastiq.payments.list(payer_id):
            ...
        async for page in plastiq.payments.list(payer_id).pages():
            ...

    Each page is a call of its own, with its own deadline, and nothing is held between
    pages. All pages of one iteration carry the same trace ID. Awaiting or iterating
    again asks the API again. Items that are added or removed in the meantime shift the
    others, so that one may be seen twice or be missed.
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
        if not is_count(offset, least=0):
            msg = "offset must be an integer of 0 or more"
            raise InvalidArgumentError(msg)
        self._pipeline = pipeline
        self._operation = operation
        self._options = options
        self._limit = limit
        self._offset = offset

    def __await__(self) -> Generator[Any, None, Page[T]]:
        """Return the first page."""
        return self._fetch(self._offset, self._options).__await__()

    def __aiter__(self) -> AsyncIterator[T]:
        """Iterate over the items of all pages."""
        return _Items(self.pages())

    def pages(self) -> AsyncIterator[Page[T]]:
        """Iterate over the pages, ending at an empty one or at the last."""
        # Passed on explicitly, since a context variable must not be set across a yield.
        trace_id = self._options.get("trace_id")
        if trace_id is None:
            trace_id = current_trace_id() or uuid4()
        options: CallOptions = {**self._options, "trace_id": trace_id}
        return _Pages(self, options)

    async def _fetch(self, offset: int, options: CallOptions) -> Page[T]:
        place = {"offset": str(offset), "limit": str(self._limit)}
        query = {**self._operation.query, **place}
        operation = attrs.evolve(self._operation, query=query)
        return await self._pipeline.run(operation, options)


class _Pages(AsyncIterator[Page[T]]):
    """The pages of one iteration; a `break` would leave a generator suspended."""

    def __init__(self, paginator: Paginator[T], options: CallOptions) -> None:
        self._paginator = paginator
        self._options = options
        self._offset = paginator._offset  # noqa: SLF001 -- its other half
        self._more = True

    async def __anext__(self) -> Page[T]:
        if not self._more:
            raise StopAsyncIteration
        page = await self._paginator._fetch(self._offset, self._options)  # noqa: SLF001
        # Not by the limit, since a page that is not the last may have fewer items.
        self._offset += len(page.data)
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
