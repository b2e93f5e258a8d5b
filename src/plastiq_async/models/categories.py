"""The model of ``GET /categories``."""

from uuid import UUID

import attrs

from plastiq_async.models.common import ResponseInfo

__all__ = ["Category"]


@attrs.frozen(kw_only=True)
class Category:
    """An industry that a recipient can belong to.

    Attributes:
        id: The category's ID, with which a recipient names it.
        display_name: The name to show, such as ``"General Inventory"``.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    id: UUID
    display_name: str | None = None
    response: ResponseInfo = attrs.field(repr=False, eq=False)
