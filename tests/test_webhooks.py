"""The body of a webhook: events, and what is none."""

from __future__ import annotations

import copy
import json
import pickle
from decimal import Decimal
from typing import Any, get_args
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async import InvalidArgumentError, to_jsonable
from plastiq_async.webhooks import (
    MAX_EVENT_BYTES,
    WebhookEvent,
    WebhookEventName,
    parse_event,
)
from tests.support.checks import check_form
from tests.support.errors import frames_of
from tests.support.private_texts import assert_untold, texts_of
from tests.support.strategies import many, mostly

EVENT_ID = "5f0c0a9e-8a3f-4f0e-9d3b-2d7c7a6f4e11"
OBJECT_ID = "0c8a2b1d-94e7-4c55-8a8e-1f2d3c4b5a69"
SECRET = "s3cr3t"
TOO_LARGE = f"more than {MAX_EVENT_BYTES} bytes"
EVENT: dict[str, Any] = {
    "id": EVENT_ID,
    "event": "payment.state_change",
    "data": {"id": OBJECT_ID},
}


def make_body(**changes: Any) -> bytes:
    """Return the body of an event; `changes` override or add members."""
    return json.dumps(EVENT | changes).encode()


@pytest.mark.parametrize("kind", [bytes, bytearray, bytes.decode])
def test_event(kind: Any) -> None:
    """An event has its own ID, that of its object, and all of its data."""
    body = b"""{"id": "%b", "event": "payment.state_change", "more": [1],
        "data": {"id": "%b", "amount": 1.10, "none": null, "Xy": {"a": [true]}}}"""
    event = parse_event(kind(body % (EVENT_ID.encode(), OBJECT_ID.encode())))
    assert event == WebhookEvent(
        id=UUID(EVENT_ID),
        event="payment.state_change",
        object_id=UUID(OBJECT_ID),
        data={
            "id": OBJECT_ID,
            "amount": Decimal("1.10"),
            "none": None,
            "Xy": {"a": [True]},
        },
    )


@pytest.mark.parametrize(
    "name", [*get_args(WebhookEventName), "payment.new", "Événement"]
)
def test_names(name: str) -> None:
    """Known names are accepted, and new ones, too."""
    assert parse_event(make_body(event=name)).event == name


def test_model() -> None:
    """An event is frozen, copyable and JSON, and its repr does not show its data."""
    event = parse_event(make_body(data={"id": OBJECT_ID, "note": SECRET}))
    assert SECRET not in repr(event)
    assert f"UUID('{OBJECT_ID}')" in repr(event)
    assert copy.copy(event) == event
    assert pickle.loads(pickle.dumps(event)) == event  # noqa: S301 -- our own
    assert {event, copy.copy(event)} == {event}
    assert hash(event) == hash(attrs.evolve(event, data={}))
    assert event != attrs.evolve(event, data={})
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event.event = "another"  # type: ignore[misc]  # so
    assert to_jsonable(event) == {
        "id": EVENT_ID,
        "event": "payment.state_change",
        "object_id": OBJECT_ID,
        "data": {"id": OBJECT_ID, "note": SECRET},
    }


def nested(levels: int) -> bytes:
    """Return an event with so many levels of objects and arrays."""
    inner: object = 1
    for level in range(levels - 2):
        inner = [inner] if level % 2 else {"a": inner}
    return make_body(data={"id": OBJECT_ID, "x": inner})


def padded(size: int) -> bytes:
    """Return an event of so many bytes."""
    return make_body().ljust(size)


def test_limits() -> None:
    """The largest and the deepest event are accepted, and nothing beyond."""
    assert parse_event(padded(MAX_EVENT_BYTES)) == parse_event(make_body())
    assert parse_event(nested(32)).object_id == UUID(OBJECT_ID)
    with pytest.raises(InvalidArgumentError, match=TOO_LARGE):
        parse_event(padded(MAX_EVENT_BYTES + 1))
    with pytest.raises(InvalidArgumentError, match="more than 32 levels"):
        parse_event(nested(33))
    # Counted in bytes, also if it is given as text.
    with pytest.raises(InvalidArgumentError, match=TOO_LARGE):
        parse_event('"' + "é" * (MAX_EVENT_BYTES // 2) + '"')


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "the body is not JSON"),
        (SECRET.encode(), "the body is not JSON"),
        (make_body()[:-1], "the body is not JSON"),
        (make_body() + b"{}", "the body is not JSON"),
        (b"\xef\xbb\xbf" + make_body(), "the body is not JSON"),
        (make_body().decode().encode("utf-16"), "the body is not JSON"),
        (make_body(n=float("nan")), "the body is not JSON"),
        ("\ud800", "the body is not JSON"),
        (b"[" * 60_000, "the body is not JSON"),
        (b'{"a":%s}' % (b"1" * 5000), "the body is not JSON"),
        (b"null", "unexpected value @ $"),
        (json.dumps([EVENT]).encode(), "unexpected value @ $"),
        (b"{}", "missing @ $.id"),
        (make_body(id=None), "unexpected value @ $.id"),
        (make_body(id=SECRET), "unexpected value @ $.id"),
        (make_body(id=EVENT_ID.replace("-", "")), "unexpected value @ $.id"),
        (make_body(id=7), "unexpected value @ $.id"),
        (make_body(event=None), "unexpected value @ $.event"),
        (make_body(event=[SECRET]), "unexpected value @ $.event"),
        (make_body(event=""), "event must be a string"),
        (make_body(event=f"{SECRET}\n"), "event must be a string"),
        (make_body(event=f"{SECRET}\ud800"), "event must be a string"),
        (make_body(data=None), "missing @ $.data.id"),
        (make_body(data=[SECRET]), "data.id is missing"),
        (make_body(data={}), "data.id is missing"),
        (make_body(data={"id": SECRET}), "unexpected value @ $.data.id"),
        (make_body(**{"data": {}, "data.id": OBJECT_ID}), "data.id is missing"),
        (None, "neither bytes nor str"),
        (EVENT, "neither bytes nor str"),
        (memoryview(make_body()), "neither bytes nor str"),
    ],
)
def test_no_event(body: Any, expected: str) -> None:
    """What is no event is refused with its problem, and never shown."""
    with pytest.raises(InvalidArgumentError) as info:
        parse_event(body)
    error = info.value
    assert str(error).startswith("body is no event of a webhook: ")
    assert expected in str(error)
    assert isinstance(error, ValueError)
    assert error.outcome_unknown is False
    assert_untold([*texts_of(error), *frames_of(error)], [SECRET, EVENT_ID])


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
uuids = st.uuids().map(str)
objects = st.fixed_dictionaries(
    {"id": mostly(uuids, anything)}, optional={"x": anything}
)
events = st.fixed_dictionaries(
    {
        "id": mostly(uuids, anything),
        "event": mostly(st.sampled_from(get_args(WebhookEventName)), anything),
        "data": mostly(objects, anything),
    },
    optional={"data.id": anything, "object_id": uuids, "objectId": uuids},
)


@pytest.mark.slow
@many
@given(events.map(json.dumps) | anything.map(json.dumps))
@example(make_body().decode())
def test_any_json(text: str) -> None:
    """Any JSON is either an event that says what it said, or a typed error."""
    try:
        event = parse_event(text)
    except InvalidArgumentError as error:
        check_form(error)
        return
    said = json.loads(text, parse_float=Decimal)
    assert (str(event.id), event.event) == (said["id"].lower(), said["event"])
    assert str(event.object_id) == said["data"]["id"].lower()
    assert event.data == said["data"]
    assert parse_event(text.encode()) == event


@pytest.mark.slow
@many
@given(st.binary() | st.text() | st.text(st.characters()))
@example(b"\x00")
@example("\ud800")
def test_any_bytes(body: bytes | str) -> None:
    """Any bytes and any text that are no event are a typed error."""
    with pytest.raises(InvalidArgumentError, match="body is no event"):
        parse_event(body)
