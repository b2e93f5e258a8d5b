"""The trace-ID policy: whose response it is, and what becomes of its connection."""

import enum
from collections.abc import Sequence

import httpx

from plastiq_async._call import Call
from plastiq_async._protocol import (
    header_values,
    is_replay,
    is_success,
    parse_trace_id,
)


class Verdict(enum.Enum):
    """What to do with a response and its connection."""

    KEEP = enum.auto()
    """Deliver the response; the connection may be used again."""
    CLOSE = enum.auto()
    """Deliver the response; close its connection."""
    REFUSE = enum.auto()
    """The response may be another call's: close its connection, and raise."""


class ForeignResponseError(httpx.RemoteProtocolError):
    """A response that may belong to another call. Its text holds no data."""

    def __init__(self) -> None:
        # Without the setting that turns the check off: the page explains it first.
        super().__init__(
            "the response carries another call's trace ID, or none; "
            "if it was recorded, see docs/recorded-responses.md"
        )


def check_trace_id(
    call: Call,
    status: int,
    headers: Sequence[tuple[bytes, bytes]],
    *,
    reused: bool = False,
) -> Verdict:
    """Decide about a response by its ``Trace-Id`` headers.

    By the contract, the server returns the trace ID that was sent. Another one shows
    that the connection is out of step, and that the response is another call's.
    A `reused` connection carried a response before this one.
    """
    returned = header_values(headers, b"trace-id")
    if returned == [call.trace_text] or not call.defaults.verify_trace_id:
        return Verdict.KEEP
    if parse_trace_id(headers) == call.trace_id:
        return Verdict.KEEP  # in another spelling
    operation, success = call.operation, is_success(status)
    if not returned:
        if not success:
            return Verdict.KEEP  # gateways know no trace IDs
        # On a reused connection, it may be left over from an earlier request.
        leftover = reused and operation.traced
        return Verdict.REFUSE if leftover else Verdict.CLOSE
    # A stored response may carry the trace ID of the request that was stored. Without
    # values to compare, nothing would show that it is another operation's.
    comparable = operation.idempotency_key is not None and operation.expected
    if comparable and is_replay(headers):
        return Verdict.CLOSE
    unsafe = success or call.needs_own_response
    return Verdict.REFUSE if unsafe else Verdict.CLOSE
