"""`FakeWithWidgets`, a fake with a resource that the real API does not have.

It has one operation of each kind: `widgets.retrieve`, `widgets.create` (with an
idempotency key), `widgets.update`, `widgets.delete` and `widgets.list`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID, uuid4

import attrs
import httpx

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._routing import (
    LISTING_QUERY,
    ApiRequest,
    ApiResponse,
    FakeState,
    IdempotencyKeys,
    NotFoundError,
    Route,
    ValidationError,
    check_fields,
    idempotent,
    list_page,
    require_object,
    require_uuid,
)
from tests.testing.calls import call

OTHER_PAYER = "0e2dcb1c-bd21-4ba5-b2c8-0e7ea0ac2a5d"


@attrs.define(kw_only=True)
class Widget:
    """A widget of a payer."""

    id: UUID
    payer_id: UUID
    name: str
    amount: int | Decimal = 1
    created_at: datetime = attrs.Factory(lambda: datetime.now(UTC))

    def to_json(self) -> dict[str, object]:
        """Return the widget as the API shows it."""
        return {
            "id": str(self.id),
            "payer": {"id": str(self.payer_id)},
            "name": self.name,
            "amount": self.amount,
            "createdAt": self.created_at.isoformat(),
            "status": "ACTIVE",
        }


@attrs.define
class Widgets:
    """The widgets of one fake.

    Attributes:
        by_id: The widgets, oldest first.
        created: Number of widgets ever created.
    """

    by_id: dict[UUID, Widget] = attrs.Factory(dict)
    created: int = 0

    def find(self, request: ApiRequest) -> Widget:
        """Return the widget that the path names."""
        widget = self.by_id.get(request.path_uuid("id"))
        if widget is None:
            raise NotFoundError
        return widget


def parse_name(value: object) -> str:
    """Return the name of a widget, which is a non-empty string."""
    if not isinstance(value, str) or not value:
        msg = "name must be a non-empty string"
        raise ValidationError(msg)
    return value


def parse_amount(value: object) -> int | Decimal:
    """Return the amount of a widget, which is a positive number."""
    if not isinstance(value, (int, Decimal)) or isinstance(value, bool) or value <= 0:
        msg = "amount must be a positive number"
        raise ValidationError(msg)
    return value


def create(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a widget, once per idempotency key."""

    def process() -> ApiResponse:
        check_fields(request.body, ("payer", "name", "amount"))
        payer = require_object(request.body.get("payer"), "payer")
        check_fields(payer, ("id",), parent="payer")
        payer_id = require_uuid(payer.get("id"), "payer.id")
        if payer_id not in state.payer_ids:
            msg = "payer.id must be an existing payer"
            raise ValidationError(msg)
        name = parse_name(request.body.get("name"))
        amount = parse_amount(request.body.get("amount", 1))
        widget = Widget(
            id=uuid4(),
            payer_id=payer_id,
            name=name,
            amount=amount,
            created_at=state.now,
        )
        widgets = state.of(Widgets)
        widgets.by_id[widget.id] = widget
        widgets.created += 1
        return ApiResponse(widget.to_json(), status=201)

    return idempotent(request, state, process)


def retrieve(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Return a widget to its payer."""
    widget = state.of(Widgets).find(request)
    if widget.payer_id != request.require_query_uuid("payerId"):
        raise NotFoundError
    return ApiResponse(widget.to_json())


def update(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Change the name or the amount of a widget."""
    widget = state.of(Widgets).find(request)
    check_fields(request.body, ("name", "amount"))
    name = parse_name(request.body.get("name", widget.name))
    amount = parse_amount(request.body.get("amount", widget.amount))
    widget.name, widget.amount = name, amount
    return ApiResponse(widget.to_json())


def delete(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Delete a widget."""
    widgets = state.of(Widgets)
    del widgets.by_id[widgets.find(request).id]
    return ApiResponse(status=204)


def list_(request: ApiRequest, state: FakeState) -> ApiResponse:
    """List the widgets, those of one payer if asked."""
    payer_id = request.query_uuid("payerId")
    widgets = state.of(Widgets).by_id.values()
    return list_page(
        request,
        [
            widget.to_json()
            for widget in widgets
            if payer_id is None or widget.payer_id == payer_id
        ],
    )


WIDGET_ROUTES = (
    Route(
        operation="widgets.create",
        method="POST",
        path="/widgets",
        handler=create,
    ),
    Route(
        operation="widgets.list",
        method="GET",
        path="/widgets",
        handler=list_,
        query=("payerId", *LISTING_QUERY),
    ),
    Route(
        operation="widgets.retrieve",
        method="GET",
        path="/widgets/{id}",
        handler=retrieve,
        query=("payerId",),
    ),
    Route(
        operation="widgets.update",
        method="PATCH",
        path="/widgets/{id}",
        handler=update,
    ),
    Route(
        operation="widgets.delete",
        method="DELETE",
        path="/widgets/{id}",
        handler=delete,
    ),
)


class FakeWithWidgets(FakePlastiq):
    """A fake that serves widgets, too."""

    routes = (*FakePlastiq.routes, *WIDGET_ROUTES)

    @property
    def widgets(self) -> Widgets:
        """The widgets."""
        return self._state.of(Widgets)

    @property
    def idempotency_keys(self) -> IdempotencyKeys:
        """The stored responses."""
        return self._state.of(IdempotencyKeys)

    def add_widget(self, name: str = "A widget") -> Widget:
        """Add a widget of the first payer, without a request."""
        widget = Widget(id=uuid4(), payer_id=self.payer_id, name=name)
        self.widgets.by_id[widget.id] = widget
        return widget


async def create_widget(
    fake: FakePlastiq, key: object = None, **changes: object
) -> httpx.Response:
    """Create a widget over HTTP, with an idempotency key if one is given."""
    headers = {} if key is None else {"Idempotency-Key": str(key)}
    body = {"payer": {"id": str(fake.payer_id)}, "name": "A widget", **changes}
    return await call(fake, "POST", "/widgets", json=body, headers=headers)
