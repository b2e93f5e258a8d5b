"""`Widgets`, a test-only resource with one operation of each kind.

`tests.testing.widgets.FakeWithWidgets` serves it.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from types import NoneType
from typing import TYPE_CHECKING, Literal, TypeAlias, Unpack
from uuid import UUID, uuid4

import attrs

from plastiq_async import Page, PlastiqSession, ResponseInfo
from plastiq_async._codec import NOT_ON_WIRE
from plastiq_async._operation import Operation
from plastiq_async._resources.base import Resource
from plastiq_async._resources.paginator import LARGEST_PAGE, Paginator
from plastiq_async._secrets import encode_body
from plastiq_async._validate import check_uuid

if TYPE_CHECKING:
    from plastiq_async.models.common import CallOptions

WidgetStatus: TypeAlias = Literal["ACTIVE", "RETIRED"]


@attrs.frozen(kw_only=True)
class _Reference:
    id: UUID


@attrs.frozen(kw_only=True)
class Widget:
    """A widget of a payer.

    Attributes:
        id: The widget's ID.
        payer_id: The payer's ID.
        name: The name.
        amount: The amount.
        created_at: When the widget was created, in UTC.
        status: The status.
        note: The note, if there is one.
        retired_at: When the widget was retired, in UTC.
        idempotency_key: The key of the call that created it, on the result of that.
        response: The HTTP response behind it; in neither repr nor equality.
    """

    _payer: _Reference = attrs.field(repr=False, eq=False)
    id: UUID
    payer_id: UUID = attrs.field(
        default=attrs.Factory(lambda self: self._payer.id, takes_self=True),
        metadata=NOT_ON_WIRE,
    )
    name: str
    amount: Decimal
    created_at: datetime
    status: WidgetStatus | str
    note: str | None = None
    retired_at: datetime | None = None
    idempotency_key: UUID | None = attrs.field(
        default=None, eq=False, metadata=NOT_ON_WIRE
    )
    response: ResponseInfo = attrs.field(repr=False, eq=False)


def create_operation(
    name: str, payer_id: UUID | str, amount: Decimal | int, key: UUID | str | None
) -> Operation[Widget]:
    """Return the operation that creates a widget, with a new key if there is none."""
    payer = {"id": check_uuid("payer_id", payer_id)}
    return Operation(
        name="widgets.create",
        method="POST",
        path="/widgets",
        body=encode_body({"payer": payer, "name": name, "amount": amount}),
        idempotency_key=uuid4() if key is None else check_uuid("idempotency_key", key),
        harmless=False,
        result=Widget,
        expected={"payer_id": payer["id"]},
    )


def _path_params(widget_id: UUID | str) -> dict[str, str]:
    return {"id": str(check_uuid("widget_id", widget_id))}


class Widgets(Resource):
    """Widgets, one operation of each kind."""

    async def retrieve(
        self,
        widget_id: UUID | str,
        payer_id: UUID | str,
        **options: Unpack[CallOptions],
    ) -> Widget:
        """Return a widget of a payer."""
        operation = Operation(
            name="widgets.retrieve",
            method="GET",
            path="/widgets/{id}",
            path_params=_path_params(widget_id),
            query={"payerId": str(check_uuid("payer_id", payer_id))},
            harmless=True,
            result=Widget,
        )
        return await self._pipeline.run(operation, options)

    async def create(
        self,
        name: str,
        *,
        payer_id: UUID | str,
        amount: Decimal | int = 1,
        idempotency_key: UUID | str | None = None,
        **options: Unpack[CallOptions],
    ) -> Widget:
        """Create a widget, once per idempotency key."""
        operation = create_operation(name, payer_id, amount, idempotency_key)
        widget = await self._pipeline.run(operation, options)
        return attrs.evolve(widget, idempotency_key=operation.idempotency_key)

    async def update(
        self,
        widget_id: UUID | str,
        *,
        name: str | None = None,
        amount: Decimal | int | None = None,
        **options: Unpack[CallOptions],
    ) -> Widget:
        """Change the given attributes of a widget."""
        operation = Operation(
            name="widgets.update",
            method="PATCH",
            path="/widgets/{id}",
            path_params=_path_params(widget_id),
            body=encode_body({"name": name, "amount": amount}),
            harmless=False,
            result=Widget,
        )
        return await self._pipeline.run(operation, options)

    async def delete(
        self, widget_id: UUID | str, **options: Unpack[CallOptions]
    ) -> None:
        """Delete a widget."""
        operation = Operation(
            name="widgets.delete",
            method="DELETE",
            path="/widgets/{id}",
            path_params=_path_params(widget_id),
            harmless=True,
            result=NoneType,
        )
        await self._pipeline.run(operation, options)

    def list(
        self,
        payer_id: UUID | str | None = None,
        *,
        limit: int = LARGEST_PAGE,
        offset: int = 0,
        **options: Unpack[CallOptions],
    ) -> Paginator[Widget]:
        """List the widgets, those of one payer if given."""
        query = (
            {}
            if payer_id is None
            else {"payerId": str(check_uuid("payer_id", payer_id))}
        )
        operation = Operation(
            name="widgets.list",
            method="GET",
            path="/widgets",
            query=query,
            harmless=True,
            result=Page[Widget],
        )
        return Paginator(self._pipeline, operation, options, limit=limit, offset=offset)


class SessionWithWidgets(PlastiqSession):
    """A session with one more resource."""

    widgets: Widgets

    def _add_resources(self) -> None:
        super()._add_resources()
        self.widgets = Widgets(self._pipeline)
