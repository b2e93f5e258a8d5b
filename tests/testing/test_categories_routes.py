"""The fake's categories, over plain HTTP."""

from __future__ import annotations

from uuid import UUID

import pytest

from plastiq_async.testing import FakePlastiq
from tests.support.internals import page_categories
from tests.testing.calls import call, problem


async def test_list() -> None:
    """All categories come at once, the same ones from every fake."""
    response = await call(FakePlastiq(), "GET", "/categories")
    assert response.status_code == 200
    listing = response.json()
    assert {"General Inventory", "Rent"} < {
        category["displayName"] for category in listing["data"]
    }
    count = len({UUID(category["id"]) for category in listing["data"]})
    assert listing["pagination"] == {
        "offset": 0,
        "limit": count,
        "total": count,
        "hasNextPage": False,
    }
    assert (await call(FakePlastiq(), "GET", "/categories")).json() == listing


@pytest.mark.parametrize("query", ["offset=0", "limit=10", "page=1"])
async def test_query(query: str) -> None:
    """The operation has no query parameters."""
    response = await call(FakePlastiq(), "GET", f"/categories?{query}")
    name = query.partition("=")[0]
    assert problem(response) == f"{name} is not a query parameter of this operation"


async def test_pages() -> None:
    """If a test asks for it, the fake pages by an offset."""
    fake = FakePlastiq()
    everything = (await call(fake, "GET", "/categories")).json()["data"]
    page_categories(fake, 3)
    pages = [
        (await call(fake, "GET", f"/categories{query}")).json()
        for query in ("", "?offset=3", "?offset=6")
    ]
    assert [page["data"] for page in pages] == [everything[:3], everything[3:], []]
    assert [page["pagination"]["hasNextPage"] for page in pages] == [True, False, False]
    wrong = await call(fake, "GET", "/categories?offset=-1")
    assert problem(wrong).startswith("offset must be an integer from 0")
    limited = await call(fake, "GET", "/categories?limit=3")
    assert problem(limited) == "limit is not a query parameter of this operation"
