"""Paginated listings: the query parameters and the envelope."""

from __future__ import annotations

from collections.abc import Sequence

from plastiq_async.testing._checks import require_integer
from plastiq_async.testing._messages import ApiRequest, ApiResponse

__all__ = ["LISTING_QUERY", "list_page", "make_page", "query_offset"]

LISTING_QUERY = ("offset", "limit")
DEFAULT_LIMIT = 10
MAX_LIMIT = 100
MAX_OFFSET = 2**31 - 1


def list_page(request: ApiRequest, items: Sequence[object]) -> ApiResponse:
    """Return the page that a request asks for.

    Args:
        request: A request of a route that accepts `LISTING_QUERY`.
        items: JSON values of all items, in order.

    Returns:
        The response with the page in the API's envelope.

    Raises:
        ValidationError: `offset` or `limit` is not an integer of its range.
    """
    limit = require_integer(
        request.query.get("limit", str(DEFAULT_LIMIT)),
        "limit",
        minimum=1,
        maximum=MAX_LIMIT,
    )
    return make_page(items, offset=query_offset(request), limit=limit)


def query_offset(request: ApiRequest) -> int:
    """Return the offset that a request asks for.

    Args:
        request: A request of a route that accepts `offset`.

    Returns:
        The offset, by default 0.

    Raises:
        ValidationError: `offset` is not an integer of its range.
    """
    text = request.query.get("offset", "0")
    return require_integer(text, "offset", minimum=0, maximum=MAX_OFFSET)


def make_page(items: Sequence[object], *, offset: int, limit: int) -> ApiResponse:
    """Return a page of items.

    Args:
        items: JSON values of all items, in order.
        offset: Number of items before the page.
        limit: Greatest number of items on the page.

    Returns:
        The response with the page in the API's envelope.
    """
    end = offset + limit
    return ApiResponse(
        {
            "data": list(items[offset:end]),
            "pagination": {
                "offset": offset,
                "limit": limit,
                "total": len(items),
                "hasNextPage": end < len(items),
            },
        }
    )
