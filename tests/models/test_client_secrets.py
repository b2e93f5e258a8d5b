"""The client secret models: validation, expiry and hidden values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import pytest

from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models import CreateClientSecret
from tests.support.models import (
    A_SECOND,
    NOW,
    PAYER,
    SECRET,
    TRACE_ID,
    make_info,
    make_secret,
)


@pytest.mark.parametrize("payer_id", [PAYER, str(PAYER), str(PAYER).upper()])
def test_create_client_secret(payer_id: UUID | str) -> None:
    """Only a payer is required, as a UUID or text."""
    request = CreateClientSecret(payer_id=payer_id)
    assert request == CreateClientSecret(
        payer_id=PAYER, type="CARD", end_user=None, trace_id=None
    )
    assert request.payer_id == PAYER


def test_create_client_secret_trace_id() -> None:
    """A trace ID is converted to a UUID."""
    request = CreateClientSecret(payer_id=PAYER, trace_id=str(TRACE_ID))
    assert request.trace_id == TRACE_ID


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("payer_id", "s3cr3t"),
        ("payer_id", None),
        ("type", "s3cr3t"),
        ("type", "card"),
        ("type", None),
        ("type", []),
        ("end_user", "s3cr3t"),
        ("end_user", {"user_agent": "s3cr3t"}),
        ("trace_id", "s3cr3t"),
        ("trace_id", PAYER.hex[1:]),
        ("trace_id", UUID(int=0)),
    ],
)
def test_create_client_secret_refused(name: str, value: Any) -> None:
    """An invalid value is rejected by name, and the error does not repeat it."""
    values = {"payer_id": PAYER, name: value}
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        CreateClientSecret(**values)
    assert "s3cr3t" not in str(info.value)


def test_client_secret_expires() -> None:
    """A secret expires one minute after it was issued."""
    assert make_secret().expires_at == NOW + timedelta(seconds=60)


@pytest.mark.parametrize(
    ("moment", "expired"),
    [
        (NOW - A_SECOND, False),
        (NOW + timedelta(seconds=60, microseconds=-1), False),
        (NOW + timedelta(seconds=60), True),
        (NOW + timedelta(days=1), True),
        ((NOW + A_SECOND).astimezone(timezone(timedelta(hours=5))), False),
    ],
)
def test_is_expired_at(moment: datetime, expired: bool) -> None:
    """A secret is expired from its expiry time on, in any time zone."""
    assert make_secret().is_expired(moment) is expired


@pytest.mark.parametrize(("age", "expired"), [(0, False), (61, True)])
def test_is_expired_now(age: int, expired: bool) -> None:
    """Without a given time, the machine's clock is used."""
    issued_at = datetime.now(UTC) - timedelta(seconds=age)
    assert make_secret(issued_at=issued_at).is_expired() is expired


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_client_secret_hidden(show: Any) -> None:
    """No text form of the object shows the secret or the response headers."""
    shown = show(make_secret())
    assert SECRET not in shown
    assert str(TRACE_ID) in shown


def test_client_secret_equality() -> None:
    """Equality compares the secret but not the response."""
    secret = make_secret()
    other_way = make_secret(response=make_info(attempts=2))
    assert secret == other_way
    assert len({secret, other_way}) == 1
    assert secret != make_secret(client_secret="another")
