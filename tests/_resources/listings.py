"""Sessions, requests and responses of the tests of listings."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from plastiq_async import Page
from tests._resources.widgets import SessionWithWidgets, Widget
from tests.testing.widgets import FakeWithWidgets


def session_with(fake: FakeWithWidgets, **options: Any) -> SessionWithWidgets:
    """Return a session with a fake."""
    options = {"access_token": fake.access_token, **options}
    return SessionWithWidgets(
        base_url=fake.base_url, transport=fake.transport, **options
    )


def offsets_of(fake: FakeWithWidgets) -> list[int]:
    """Return the offsets that the fake was asked for."""
    listings = [each for each in fake.requests if each.operation == "widgets.list"]
    return [int(request.query["offset"][0]) for request in listings]


def trace_ids_of(fake: FakeWithWidgets) -> list[UUID]:
    """Return the trace IDs that the fake got."""
    return [request.trace_id for request in fake.requests]


def names_of(page: Page[Widget]) -> list[str]:
    """Return the names of the widgets on a page."""
    return [widget.name for widget in page.data]


def limits_of(fake: FakeWithWidgets) -> list[int]:
    """Return the page sizes that the fake was asked for."""
    return [int(request.query["limit"][0]) for request in fake.requests]


def garble_page(
    fake: FakeWithWidgets, count: int, pagination: object, times: int = 1
) -> None:
    """Let the next request get a page with so many items."""
    widgets = list(fake.widgets.by_id.values())[:count]
    body = {"data": [widget.to_json() for widget in widgets], "pagination": pagination}
    fake.garble_next(json.dumps(body).encode(), times=times)
