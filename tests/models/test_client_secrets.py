"""The models: what they take, what they refuse, and what they keep to themselves."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID

import attrs
import pytest

from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models import (
    ClientSecret,
    CreateClientSecret,
    EndUser,
    ResponseInfo,
)

PAYER = UUID("8f51c396-6e29-49a6-ba5a-1a31d5420158")
TRACE_ID = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "XYZCLIENTSECRET123"
A_SECOND = timedelta(seconds=1)


def make_info(**changes: Any) -> ResponseInfo:
    """Return how an answer came about."""
    values: dict[str, Any] = {
        "status": 200,
        "headers": {"X-Secret": SECRET},
        "trace_id": TRACE_ID,
        "attempts": 1,
        "sent_at": NOW,
        "elapsed": A_SECOND,
    }
    return ResponseInfo(**values | changes)


def make_secret(**changes: Any) -> ClientSecret:
    """Return a client secret that was issued at `NOW`."""
    values: dict[str, Any] = {
        "client_secret": SECRET,
        "trace_id": TRACE_ID,
        "issued_at": NOW,
        "response": make_info(),
    }
    return ClientSecret(**values | changes)


MODELS = [
    EndUser(user_agent="Mozilla/5.0", ip="::1", device_id="a1"),
    make_info(),
    make_secret(),
    CreateClientSecret(payer_id=PAYER, end_user=EndUser(ip="::1"), trace_id=TRACE_ID),
]
each_model = pytest.mark.parametrize(
    "model", MODELS, ids=lambda model: type(model).__name__
)


@each_model
def test_frozen_and_slotted(model: Any) -> None:
    """No field can be changed or added."""
    for field in attrs.fields(type(model)):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            setattr(model, field.name, None)
    assert not hasattr(model, "__dict__")


@each_model
def test_keyword_only(model: Any) -> None:
    """Values are given by name, so that fields may be added anywhere."""
    with pytest.raises(TypeError, match="positional"):
        type(model)(*attrs.astuple(model, recurse=False))


@each_model
@pytest.mark.parametrize(
    "twin_of",
    [copy.copy, copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))],  # noqa: S301 -- our own,
)
def test_survives_copying(model: Any, twin_of: Any) -> None:
    """Copies and pickles of a model equal it."""
    assert twin_of(model) == model


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, EndUser(user_agent=None, ip=None, device_id=None)),
        ({"ip": "2001:DB8::0:1"}, EndUser(ip="2001:db8::1")),
        ({"user_agent": "a b", "device_id": "c"}, None),
    ],
)
def test_end_user(given: dict[str, str], kept: EndUser | None) -> None:
    """Everything about an end user is optional; the address becomes canonical."""
    end_user = EndUser(**given)
    assert end_user == (kept or end_user)
    assert attrs.asdict(end_user).keys() >= given.keys()
    if kept is None:
        assert given.items() <= attrs.asdict(end_user).items()


@pytest.mark.parametrize("name", ["user_agent", "ip", "device_id"])
@pytest.mark.parametrize("value", ["", " ", "s3cr3t\r\nX: y", "s3cr3t\u00e9", 5, b"a"])
def test_end_user_refused(name: str, value: Any) -> None:
    """What cannot stand in a header is refused by its name, never repeated."""
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        EndUser(**{name: value})
    assert "s3cr3t" not in str(info.value)


@pytest.mark.parametrize("payer_id", [PAYER, str(PAYER), str(PAYER).upper()])
def test_create_client_secret(payer_id: UUID | str) -> None:
    """A payer is enough: as a UUID or as text."""
    request = CreateClientSecret(payer_id=payer_id)
    assert request == CreateClientSecret(
        payer_id=PAYER, type="CARD", end_user=None, trace_id=None
    )
    assert request.payer_id == PAYER


def test_create_client_secret_trace_id() -> None:
    """A trace ID becomes a UUID, whatever it was given as."""
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
        ("trace_id", PAYER.hex),
        ("trace_id", UUID(int=0)),
    ],
)
def test_create_client_secret_refused(name: str, value: Any) -> None:
    """A value that the API does not take is refused by its name, never repeated."""
    values = {"payer_id": PAYER, name: value}
    with pytest.raises(InvalidArgumentError, match=rf"^{name} must be") as info:
        CreateClientSecret(**values)
    assert "s3cr3t" not in str(info.value)


def test_client_secret_expires() -> None:
    """A secret's minute starts at the moment it was issued."""
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
    """A secret is expired from its last moment on, in any time zone."""
    assert make_secret().is_expired(moment) is expired


@pytest.mark.parametrize(("age", "expired"), [(0, False), (61, True)])
def test_is_expired_now(age: int, expired: bool) -> None:
    """Without a moment, this machine's clock counts."""
    issued_at = datetime.now(UTC) - timedelta(seconds=age)
    assert make_secret(issued_at=issued_at).is_expired() is expired


@pytest.mark.parametrize("show", [repr, str, "{}".format])
def test_client_secret_hidden(show: Any) -> None:
    """The secret, and the headers it came with, are in no text of the object."""
    shown = show(make_secret())
    assert SECRET not in shown
    assert str(TRACE_ID) in shown


def test_headers_hidden() -> None:
    """The headers of an answer are not in its repr."""
    assert SECRET not in repr(make_info())


def test_client_secret_equality() -> None:
    """How the answer came about makes no difference; the secret itself does."""
    secret = make_secret()
    other_way = make_secret(response=make_info(attempts=2))
    assert secret == other_way
    assert len({secret, other_way}) == 1
    assert secret != make_secret(client_secret="another")
