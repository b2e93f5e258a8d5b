"""The body of a webhook: `parse_event` and `WebhookEvent`.

The vendor calls a URL of yours when something happens to a payment, or when it needs a
document. **A webhook proves nothing.** The public API document, version 1.0.0, does not
describe webhooks, and no signature of theirs is documented, so anybody who knows the
URL can send one. Treat it as a hint:

1. Put an unguessable part into the URL.
2. Parse the body with `parse_event`, and store the event.
3. Answer 200 within 5 seconds, as the vendor's guide demands.
4. Ignore an event whose `id` you have stored before.
5. Work afterwards, and act only on what the API says: read the object again, such as
   with `payments.retrieve`.

The order of events, further attempts of delivery and duplicates are not documented
either. ``docs/webhooks.md`` has the pattern, and ``examples/webhooks.py`` does it.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias
from uuid import UUID

import attrs

from plastiq_async._codec import DecodeError, decode_json, structure, wire
from plastiq_async._validate import check_text
from plastiq_async.errors import InvalidArgumentError

__all__ = ["MAX_EVENT_BYTES", "WebhookEvent", "WebhookEventName", "parse_event"]

MAX_EVENT_BYTES: Final = 65_536
"""The largest body that `parse_event` takes, in bytes. Read no more than that."""

_DEEPEST = 32

WebhookEventName: TypeAlias = Literal[
    "document.request",
    "payment.disbursement_information",
    "payment.state_change",
    "payment.trace_information",
]
"""What a webhook tells, as far as the vendor's guide names it."""


@attrs.frozen(kw_only=True)
class WebhookEvent:
    """What a webhook claims; see the module about how little that proves.

    Attributes:
        id: The ID of the event itself, by which to tell a repeated one.
        event: What happened, such as ``"payment.state_change"``. New names may appear
            at any time.
        object_id: The ID of the object that it happened to: the document for
            ``"document.request"``, and the payment for all others.
        data: All members of ``data``, under their names on the wire; numbers with a
            fraction are `Decimal`. Only ``id`` is documented. Not in the repr.
    """

    id: UUID
    event: WebhookEventName | str
    object_id: UUID = attrs.field(metadata=wire("data.id"))
    data: Mapping[str, object] = attrs.field(repr=False, hash=False)


def parse_event(body: bytes | bytearray | str) -> WebhookEvent:
    """Return the event in the body of a webhook. It does not prove who sent it.

    Args:
        body: The body, as it was received.

    Returns:
        The event.

    Raises:
        InvalidArgumentError: The body is no event: it has more than `MAX_EVENT_BYTES`
            bytes, is not JSON in UTF-8, is nested more than 32 levels deep, or lacks a
            UUID as ``id``, a name as ``event``, or an object with a UUID as ``data``.
            The message names the path into the body, and never shows its data. It is
            also a ValueError. The integrations answer it with 422.
    """
    try:
        return _parse(body)
    except DecodeError as error:
        problem = str(error)
    # Raised here, without the body, because crash reporters collect local variables.
    del body
    raise InvalidArgumentError(f"body is no event of a webhook: {problem}")


def _parse(body: object) -> WebhookEvent:
    if isinstance(body, str):
        # A lone surrogate is encoded, too, and refused below.
        body = str.encode(body, errors="surrogatepass")
    if not isinstance(body, (bytes, bytearray)):
        raise DecodeError("neither bytes nor str")
    if len(body) > MAX_EVENT_BYTES:
        raise DecodeError(f"more than {MAX_EVENT_BYTES} bytes")
    value = decode_json(bytes(body))
    if _is_deep(value, _DEEPEST):
        raise DecodeError(f"nested more than {_DEEPEST} levels deep")
    event = structure(value, WebhookEvent)
    try:
        check_text("event", event.event)
    except InvalidArgumentError as error:
        raise DecodeError(str(error)) from None
    return event


def _is_deep(value: object, levels: int) -> bool:
    """Tell whether `value` has more than `levels` levels of objects and arrays."""
    if isinstance(value, dict):
        items = [*value.values()]
    elif isinstance(value, list):
        items = value
    else:
        return False
    return levels == 0 or any(_is_deep(item, levels - 1) for item in items)
