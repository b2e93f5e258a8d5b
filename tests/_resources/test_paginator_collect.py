"""`Paginator.collect`: how many items it returns, and what it asks for."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from plastiq_async import InvalidArgumentError, trace_context
from tests._resources.listings import (
    garble_page,
    limits_of,
    offsets_of,
    session_with,
    trace_ids_of,
)
from tests._resources.widgets import Widget
from tests.testing.widgets import FakeWithWidgets


def names_of(widgets: list[Widget]) -> list[str]:
    """Return the names of widgets."""
    return [widget.name for widget in widgets]


@pytest.mark.parametrize(
    ("page_size", "offset", "limit", "limits"),
    [
        (100, 0, 1, [1]),
        (100, 0, 3, [3]),
        (100, 0, 5, [5]),
        (100, 0, 6, [6]),
        (100, 0, 10**20, [100]),
        (2, 0, 1, [1]),
        (2, 0, 2, [2]),
        (2, 0, 3, [2, 1]),
        (2, 0, 4, [2, 2]),
        (2, 0, 5, [2, 2, 1]),
        (2, 0, 6, [2, 2, 2]),
        (2, 3, 1, [1]),
        (2, 3, 5, [2]),
        (2, 7, 5, [2]),
    ],
)
async def test_as_many_as_wanted(
    page_size: int, offset: int, limit: int, limits: list[int], fake: FakeWithWidgets
) -> None:
    """No more items are returned, pages asked for, or items on a page than needed."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=page_size, offset=offset)
        widgets = await listing.collect(limit=limit)
    assert type(widgets) is list
    expected = [str(number) for number in range(5)][offset:]
    assert names_of(widgets) == expected[:limit]
    assert limits_of(fake) == limits


async def test_same_query(fake: FakeWithWidgets) -> None:
    """Every page is asked for with the query of the listing."""
    async with session_with(fake) as session:
        listing = session.widgets.list(fake.payer_id, limit=2)
        await listing.collect(limit=3)
    assert [request.query["payerId"] for request in fake.requests] == [
        (str(fake.payer_id),)
    ] * 2


async def test_shorter_pages(fake: FakeWithWidgets) -> None:
    """After a page that is shorter than asked for, only the rest is asked for."""
    garble_page(fake, 1, {"hasNextPage": True, "limit": 1})
    async with session_with(fake) as session:
        widgets = await session.widgets.list(limit=3).collect(limit=4)
    assert names_of(widgets) == ["0", "1", "2", "3"]
    assert offsets_of(fake) == [0, 1]
    assert limits_of(fake) == [3, 3]


async def test_longer_page(fake: FakeWithWidgets) -> None:
    """Items beyond the limit are dropped, if a server sends more than asked for."""
    garble_page(fake, 5, {"hasNextPage": True})
    async with session_with(fake) as session:
        widgets = await session.widgets.list().collect(limit=2)
    assert names_of(widgets) == ["0", "1"]
    assert len(fake.requests) == 1


async def test_empty_page(fake: FakeWithWidgets) -> None:
    """An empty page is the end, whatever else the server reports."""
    garble_page(fake, 0, {"hasNextPage": True, "total": 5})
    async with session_with(fake) as session:
        assert await session.widgets.list().collect(limit=2) == []
    assert len(fake.requests) == 1


async def test_endless_server(fake: FakeWithWidgets) -> None:
    """The limit ends a listing that would not end."""
    garble_page(fake, 3, {"hasNextPage": True, "total": 3}, times=10**9)
    async with session_with(fake) as session:
        widgets = await session.widgets.list().collect(limit=100)
    assert len(widgets) == 100
    assert offsets_of(fake) == list(range(0, 100, 3))
    assert limits_of(fake) == [min(100, 100 - offset) for offset in offsets_of(fake)]


async def test_collected_anew(fake: FakeWithWidgets) -> None:
    """Collecting again asks again, with another trace ID."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        assert len(await listing.collect(limit=9)) == 5
        fake.add_widget("5")
        widgets = await listing.collect(limit=9)
    assert names_of(widgets) == ["0", "1", "2", "3", "4", "5"]
    ids = trace_ids_of(fake)
    assert len(ids) == 6
    assert len(set(ids[:3])) == len(set(ids[3:])) == 1
    assert ids[0] != ids[3]


async def test_trace_id_of_the_context(fake: FakeWithWidgets) -> None:
    """The trace ID is that of the context in which it is awaited."""
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2)
        with trace_context() as outer:
            await listing.collect(limit=3)
    assert trace_ids_of(fake) == [outer] * 2


async def test_options(fake: FakeWithWidgets) -> None:
    """Every page is asked for with the options of the listing."""
    trace_id = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
    async with session_with(fake) as session:
        listing = session.widgets.list(limit=2, trace_id=trace_id)
        await listing.collect(limit=3)
    assert trace_ids_of(fake) == [trace_id] * 2


@pytest.mark.parametrize("limit", [0, -1, 1.0, "10", True, None])
async def test_bad_limit(limit: Any, fake: FakeWithWidgets) -> None:
    """The limit is checked before a page is asked for."""
    async with session_with(fake) as session:
        with pytest.raises(
            InvalidArgumentError, match=r"^limit must be an integer of 1 or more$"
        ):
            await session.widgets.list().collect(limit=limit)
        with pytest.raises(TypeError, match="limit"):
            await session.widgets.list().collect()  # type: ignore[call-arg]
    assert fake.requests == []
