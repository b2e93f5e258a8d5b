"""`Page`, one page of a listing."""

from typing import Generic, TypeVar

import attrs

from plastiq_async._codec import derived
from plastiq_async.models.common import ResponseInfo

__all__ = ["Page", "end_unless_told"]

_Item = TypeVar("_Item")


@attrs.frozen(kw_only=True)
class _Pagination:
    offset: int | None = None
    limit: int | None = None
    total: int | None = None
    has_next_page: bool | None = None


@attrs.frozen(kw_only=True)
class Page(Generic[_Item]):
    """One page of a listing.

    Attributes:
        data: The items.
        offset: The number of items before this page, if the server reported it.
        limit: The largest number of items on a page, if the server reported it.
        total: The number of items on all pages, if the server reported it.
        has_next_page: Whether to ask for another page. False for an empty page. If the
            server did not report it, it follows from `total`, else from `limit`, and
            is True without both. In a listing that takes no offset it is False then.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    data: tuple[_Item, ...]
    _pagination: _Pagination = attrs.field(factory=_Pagination, repr=False, eq=False)
    offset: int | None = derived(lambda self: self._pagination.offset)
    limit: int | None = derived(lambda self: self._pagination.limit)
    total: int | None = derived(lambda self: self._pagination.total)
    has_next_page: bool = derived(lambda self: self._has_next_page())
    response: ResponseInfo = attrs.field(repr=False, eq=False)

    def _has_next_page(self) -> bool:
        received = len(self.data)
        if received == 0:
            return False
        if self._pagination.has_next_page is not None:
            return self._pagination.has_next_page
        if self.total is not None:
            return (self.offset or 0) + received < self.total
        return self.limit is None or received >= self.limit


def end_unless_told(page: Page[_Item]) -> Page[_Item]:
    """Return `page` as the last one, unless the server reported another one."""
    reported = page._pagination.has_next_page is True  # noqa: SLF001 -- its other half
    return attrs.evolve(page, has_next_page=page.has_next_page and reported)
