"""Paginated listings, with widgets as the example."""

from __future__ import annotations

import pytest

from tests.testing.calls import call, problem
from tests.testing.widgets import OTHER_PAYER, FakeWithWidgets


@pytest.mark.parametrize(
    ("query", "expected", "offset", "limit", "more"),
    [
        ("", range(10), 0, 10, True),
        ("?offset=20", range(20, 25), 20, 10, False),
        ("?limit=100", range(25), 0, 100, False),
        ("?offset=5&limit=20", range(5, 25), 5, 20, False),
        ("?offset=4&limit=20", range(4, 24), 4, 20, True),
        ("?offset=25&limit=1", range(0), 25, 1, False),
        ("?offset=2147483647", range(0), 2147483647, 10, False),
    ],
)
async def test_list(
    query: str, expected: range, offset: int, limit: int, *, more: bool
) -> None:
    """A listing returns one page in the API's envelope."""
    fake = FakeWithWidgets()
    for number in range(25):
        fake.add_widget(str(number))
    response = await call(fake, "GET", f"/widgets{query}")
    assert response.status_code == 200
    body = response.json()
    assert [item["name"] for item in body["data"]] == [str(n) for n in expected]
    assert body["pagination"] == {
        "offset": offset,
        "limit": limit,
        "total": 25,
        "hasNextPage": more,
    }


async def test_list_of_a_payer() -> None:
    """A listing may have further query parameters."""
    fake = FakeWithWidgets()
    fake.add_widget()
    for payer_id, total in [(str(fake.payer_id), 1), (OTHER_PAYER, 0)]:
        response = await call(fake, "GET", f"/widgets?payerId={payer_id}")
        assert response.json()["pagination"]["total"] == total


@pytest.mark.parametrize(
    "query",
    ["limit=" + text for text in ("0", "101", "", "1.0", "%D9%A1", "9" * 5000)],
)
async def test_limit_out_of_range(query: str) -> None:
    """A limit that is not an integer from 1 to 100 is a 400."""
    response = await call(FakeWithWidgets(), "GET", f"/widgets?{query}")
    assert problem(response) == "limit must be an integer from 1 to 100"


@pytest.mark.parametrize("query", ["offset=-1", "offset=x", "offset=2147483648"])
async def test_offset_out_of_range(query: str) -> None:
    """An offset that is not a non-negative integer is a 400."""
    response = await call(FakeWithWidgets(), "GET", f"/widgets?{query}")
    assert problem(response) == "offset must be an integer from 0 to 2147483647"
