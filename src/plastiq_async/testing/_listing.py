"""Paginated listings: the query parameters and the envelope."""

from __future__ import annotations

from collections.abc import Sequence

from plastiq_async.testing._checks import require_integer
from plastiq_async.testing._messages import ApiRequest, ApiResponse

__all__ = ["LISTING_QUERY", "list_page"]

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
    offset = require_integer(
        request.query.get("offset", "0"), "offset", minimum=0, maximum=MAX_OFFSET
    )
    limit = require_integer(
        request.query.get("limit", str(DEFAULT_LIMIT)),
        "limit",
        minimum=1,
        maximum=MAX_LIMIT,
    )
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
