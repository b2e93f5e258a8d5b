"""`UnpagedListing`, a listing whose operation takes neither offset nor limit."""

from collections.abc import AsyncIterator
from typing import Protocol, TypeVar
from uuid import UUID

import attrs

from plastiq_async._resources.base import without_frames
from plastiq_async._resources.paginator import Paginator
from plastiq_async.models.common import CallOptions
from plastiq_async.models.pages import Page, end_unless_told


class _Identified(Protocol):
    @property
    def id(self) -> UUID: ...


T = TypeVar("T", bound=_Identified)


class UnpagedListing(Paginator[T]):
    """A listing whose operation has the envelope of a page, but no query parameters.

    Such as ``GET /categories`` of the public API document, version 1.0.0. One request
    without a query returns all items. Only if the server reports another page
    (``hasNextPage``), it is asked for by its offset, which the document does not list.
    A server that ignores the offset returns the same items again, so a page that begins
    with an item already seen ends the listing and is not yielded.
    """

    def _iterate(self, most: int) -> AsyncIterator[Page[T]]:
        return _NewPages(super()._iterate(most))

    @without_frames
    async def _fetch(self, offset: int, _: int, options: CallOptions, /) -> Page[T]:
        query = {"offset": str(offset)} if offset else {}
        operation = attrs.evolve(self._operation, query=query)
        return end_unless_told(await self._pipeline.run(operation, options))


class _NewPages(AsyncIterator[Page[T]]):
    """The pages of one iteration, until one begins with an item already seen."""

    def __init__(self, pages: AsyncIterator[Page[T]]) -> None:
        self._pages = pages
        self._seen: set[UUID] = set()
        self._ended = False

    async def __anext__(self) -> Page[T]:
        if self._ended:
            raise StopAsyncIteration
        page = await anext(self._pages)
        ids = [item.id for item in page.data]
        if self._seen.intersection(ids[:1]):
            self._ended = True
            raise StopAsyncIteration
        self._seen.update(ids)
        return page
