"""Type checks of a resource and its listings; nothing here runs.

A `type: ignore` marks an expected error: both checkers report an unused one.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from decimal import Decimal
from typing import assert_type
from uuid import UUID

from plastiq_async import ClientSecret, EndUser, Page, ResponseInfo
from plastiq_async._resources.paginator import Paginator
from tests._resources.widgets import SessionWithWidgets, Widget, Widgets


async def use_session(session: SessionWithWidgets) -> None:
    """Access a resource of a session and of a view."""
    assert_type(session.widgets, Widgets)
    view = session.with_options(end_user=EndUser(ip="203.0.113.7"))
    assert_type(view, SessionWithWidgets)
    assert_type(view.widgets, Widgets)
    async with session as entered:
        assert_type(entered, SessionWithWidgets)


async def call_methods(widgets: Widgets, some_id: UUID | str) -> None:
    """Call every kind of method."""
    assert_type(await widgets.retrieve(some_id, some_id), Widget)
    assert_type(await widgets.retrieve(widget_id=some_id, payer_id=some_id), Widget)
    assert_type(await widgets.create("A", payer_id=some_id), Widget)
    await widgets.create("A", payer_id=some_id, amount=Decimal("1.10"))
    await widgets.create("A", payer_id=some_id, amount=1, idempotency_key=some_id)
    assert_type(await widgets.update(some_id, name="B", amount=None), Widget)
    await widgets.delete(some_id, timeout=5, trace_id=some_id, end_user=EndUser())

    await widgets.create("A", some_id)  # type: ignore[call-arg]
    await widgets.create("A", payer_id=some_id, amount=1.1)  # type: ignore[arg-type]
    await widgets.update(some_id, status="RETIRED")  # type: ignore[call-arg]
    await widgets.delete(some_id, timeout="5")  # type: ignore[arg-type]
    await widgets.delete(some_id, retries=5)  # type: ignore[call-arg]
    widgets.list(some_id, retries=5)  # type: ignore[call-arg]
    widgets.list(some_id, 20)  # type: ignore[call-arg]


async def list_widgets(widgets: Widgets, payer_id: UUID | str) -> None:
    """Await a listing, and iterate over it."""
    listing = widgets.list(payer_id, limit=20, offset=40, timeout=5)
    assert_type(listing, Paginator[Widget])
    assert_type(widgets.list(), Paginator[Widget])
    page = await listing
    assert_type(page, Page[Widget])
    assert_type(page.data, tuple[Widget, ...])
    assert_type(page.offset, int | None)
    assert_type(page.limit, int | None)
    assert_type(page.total, int | None)
    assert_type(page.has_next_page, bool)
    assert_type(page.response, ResponseInfo)
    assert_type(listing.pages(), AsyncIterator[Page[Widget]])
    assert_type(aiter(listing), AsyncIterator[Widget])
    async for widget in listing:
        assert_type(widget, Widget)
    async for each in listing.pages():
        assert_type(each, Page[Widget])
    assert_type([widget async for widget in listing], list[Widget])
    for _ in listing:  # type: ignore[attr-defined]
        pass
    page.data = ()  # type: ignore[misc]


def read_widget(widget: Widget) -> None:
    """Read a model."""
    assert_type(widget.id, UUID)
    assert_type(widget.payer_id, UUID)
    assert_type(widget.amount, Decimal)
    assert_type(widget.created_at, datetime)
    assert_type(widget.note, str | None)
    assert_type(widget.response, ResponseInfo)
    name: str = widget.status
    if widget.status == "ACTIVE":
        name = widget.name
    widget.name = name  # type: ignore[misc]


def make_results(info: ResponseInfo, widget: Widget) -> None:
    """Build results by hand, as a test with stubbed methods does."""
    assert_type(Page(data=(widget,), response=info), Page[Widget])
    Page[Widget](data=(widget,), has_next_page=True, total=7, response=info)
    ClientSecret(client_secret="s3cr3t", response=info)
    Page(data=(widget,))  # type: ignore[call-arg]
