"""Categories: `/categories`."""

from __future__ import annotations

from plastiq_async.testing._listing import make_page, query_offset
from plastiq_async.testing._models.categories import Categories
from plastiq_async.testing._routing import (
    ApiRequest,
    ApiResponse,
    FakeState,
    Route,
    ValidationError,
)

__all__ = ["ROUTES"]


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """List the categories.

    Args:
        request: The request. It may have an offset if the fake pages.
        state: State of the fake.

    Returns:
        The response with all categories, or with a page of them.

    Raises:
        ValidationError: The offset is not a number, or the fake does not page.
    """
    categories = state.of(Categories)
    limit = categories.page_size
    if limit is None:
        if request.query:
            msg = "offset is not a query parameter of this operation"
            raise ValidationError(msg)
        limit = len(categories.by_id)
    items = [
        {"id": str(category_id), "displayName": name}
        for category_id, name in categories.by_id.items()
    ]
    return make_page(items, offset=query_offset(request), limit=limit)


ROUTES = (
    Route(
        operation="categories.list",
        method="GET",
        path="/categories",
        handler=list_,
        query=("offset",),
    ),
)
