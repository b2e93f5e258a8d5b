"""`Categories`, the categories of a fake."""

from __future__ import annotations

from uuid import UUID

import attrs

__all__ = ["Categories"]

SEEDED = {
    UUID("c4b52ef2-6c04-4c30-9d9e-21f2b0d7a301"): "General Inventory",
    UUID("c4b52ef2-6c04-4c30-9d9e-21f2b0d7a302"): "Professional Services",
    UUID("c4b52ef2-6c04-4c30-9d9e-21f2b0d7a303"): "Rent",
    UUID("c4b52ef2-6c04-4c30-9d9e-21f2b0d7a304"): "Utilities",
}


@attrs.define
class Categories:
    """The categories of one fake.

    Attributes:
        by_id: The name of each category, in order.
        page_size: Number of categories on a page, or None to list all at once, as the
            contract has it.
    """

    by_id: dict[UUID, str] = attrs.field(factory=SEEDED.copy)
    page_size: int | None = None
