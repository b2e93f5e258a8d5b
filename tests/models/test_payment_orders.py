"""Payment orders: what they accept, and their way through JSON."""

from __future__ import annotations

import json
import pickle
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plastiq_async import InvalidArgumentError, PaymentOrder

VALUES: dict[str, Any] = {
    "idempotency_key": UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002"),
    "payment_intent_id": UUID("6f0e1f7a-0d0b-11ef-9d52-0242ac120002"),
    "payer_id": UUID("8f51c396-6e29-49a6-ba5a-1a31d5420158"),
    "created_at": datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC),
}
ORDER = PaymentOrder(**VALUES)
WRITTEN: dict[str, Any] = {
    "idempotency_key": "5b0c7a3e-93d4-41ee-b9d1-0242ac120002",
    "payment_intent_id": "6f0e1f7a-0d0b-11ef-9d52-0242ac120002",
    "payer_id": "8f51c396-6e29-49a6-ba5a-1a31d5420158",
    "created_at": "2026-01-02T03:04:05.000006+00:00",
}
EARLIEST = datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))


def test_json() -> None:
    """An order is written as an object of four strings, and read from it."""
    assert json.loads(ORDER.to_json()) == WRITTEN
    assert PaymentOrder.from_json(ORDER.to_json()) == ORDER


@pytest.mark.parametrize("indent", [None, 4])
def test_json_of_a_database(indent: int | None) -> None:
    """A database may write the members in another order and with more whitespace."""
    text = json.dumps(dict(reversed(WRITTEN.items())), indent=indent)
    assert PaymentOrder.from_json(f"\n{text}\n") == ORDER


@given(
    key=st.uuids(version=4),
    ids=st.tuples(st.uuids(), st.uuids()),
    created_at=st.datetimes(timezones=st.timezones()),
)
def test_round_trips(key: UUID, ids: tuple[UUID, UUID], created_at: datetime) -> None:
    """Every order is equal to itself after its way through JSON or a pickle."""
    values: dict[str, Any] = {
        "idempotency_key": key,
        "payment_intent_id": ids[0],
        "payer_id": ids[1],
    }
    try:
        order = PaymentOrder(**values, created_at=created_at)
    except InvalidArgumentError:
        assert created_at.year in {1, 9999}
        return
    assert order.created_at == created_at.astimezone(UTC)
    assert order.created_at.tzinfo is UTC
    assert PaymentOrder.from_json(order.to_json()) == order
    assert pickle.loads(pickle.dumps(order)) == order  # noqa: S301 -- our own


def test_text_for_ids() -> None:
    """IDs may be text, and become UUIDs."""
    texts = {name: str(VALUES[name]) for name in WRITTEN if name != "created_at"}
    assert PaymentOrder(**VALUES | texts) == ORDER


INVALID: dict[str, list[Any]] = {
    "idempotency_key": [
        "",
        "s3cr3t",
        7,
        None,
        UUID(int=0),
        VALUES["payment_intent_id"],
    ],
    "payment_intent_id": ["", "s3cr3t", 7, None, b"s3cr3t", ["s3cr3t"]],
    "payer_id": ["", "s3cr3t", 7, None, "{8f51c396-6e29-49a6-ba5a-1a31d5420158}"],
    "created_at": ["s3cr3t", 7, None, datetime(2026, 1, 1), EARLIEST],  # noqa: DTZ001 -- so
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, v) for name, values in INVALID.items() for v in values]
)
def test_invalid_values(name: str, value: Any) -> None:
    """An invalid value is refused by the name of its field, and is not shown."""
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be") as info:
        PaymentOrder(**VALUES | {name: value})
    assert "s3cr3t" not in str(info.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *product(WRITTEN, (None, 7, "", "s3cr3t", {}, [])),
        ("idempotency_key", WRITTEN["payment_intent_id"]),
        ("created_at", "2026-02-30T03:04:05+00:00"),
        ("created_at", "2026-01-02T03:04:05"),
        ("created_at", "2026-01-02T03:04:05Z"),
        ("created_at", "2026-01-02T03:04:05+01:00"),
        ("created_at", "2026-01-02"),
        ("created_at", "\u0662026-01-02T03:04:05+00:00"),
    ],
)
def test_invalid_members(name: str, value: object) -> None:
    """An invalid member of the JSON is refused by its name, and is not shown."""
    with pytest.raises(InvalidArgumentError, match=f"^{name} must be") as info:
        PaymentOrder.from_json(json.dumps(WRITTEN | {name: value}))
    assert "s3cr3t" not in str(info.value)


def test_other_members() -> None:
    """A missing member and an unknown one are refused; both may change what is paid."""
    others = [{k: v for k, v in WRITTEN.items() if k != name} for name in WRITTEN]
    for members in (*others, {}, WRITTEN | {"s3cr3t": "s3cr3t"}):
        with pytest.raises(InvalidArgumentError, match="exactly the members") as info:
            PaymentOrder.from_json(json.dumps(members))
        assert "s3cr3t" not in str(info.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cr3t",
        "null",
        "7",
        '"s3cr3t"',
        "[]",
        json.dumps([list(pair) for pair in WRITTEN.items()]),
        json.dumps(WRITTEN)[:-1],
        json.dumps(WRITTEN) + "}",
        json.dumps(WRITTEN)[:-1] + ', "payer_id": ""}',
        json.dumps(WRITTEN) + " " * 1000,
        "[" * 1000,
        "\ud800",
        None,
        7,
        WRITTEN,
        ORDER.to_json().encode(),
    ],
    ids=range(17),
)
def test_not_an_object(text: Any) -> None:
    """All but one short JSON object, each member once, is refused and not shown."""
    with pytest.raises(InvalidArgumentError, match=r"^an order must be a JSON") as info:
        PaymentOrder.from_json(text)
    assert "s3cr3t" not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None


def test_subclass() -> None:
    """A subclass reads instances of itself."""

    class Order(PaymentOrder):
        """An order of an application."""

    assert type(Order.from_json(ORDER.to_json())) is Order
    assert attrs.asdict(Order.from_json(ORDER.to_json())) == VALUES
