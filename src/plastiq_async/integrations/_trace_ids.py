"""The trace ID of a request, and its logging filter."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import attrs

from plastiq_async._validate import check_trace_id, is_token
from plastiq_async.errors import ConfigurationError, InvalidArgumentError
from plastiq_async.tracing import current_trace_id

if TYPE_CHECKING:
    from collections.abc import Sequence


class TraceIdFilter(logging.Filter):
    """Logging filter that sets `record.trace_id` to the trace ID of the request.

    The attribute is the text of `current_trace_id()`, or ``"-"`` outside of a request.
    Add the filter to handlers, because a logger's filter does not apply to its child
    loggers. If records are queued, add it to the `QueueHandler`, which runs in the
    request. ::

        handler.addFilter(TraceIdFilter())
        handler.setFormatter(logging.Formatter("%(trace_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set `record.trace_id`.

        Args:
            record: The log record.

        Returns:
            True, because no record is discarded.
        """
        record.trace_id = str(current_trace_id() or "-")
        return True


@attrs.frozen
class RequestTraceId:
    """The trace ID of a request.

    Attributes:
        id: The trace ID, for calls and logs.
        text: Its spelling in the request, which the response repeats.
    """

    id: UUID
    text: str


def choose_trace_id(values: Sequence[str]) -> RequestTraceId:
    """Return the trace ID of a request, or a new one if the request has no valid one.

    Args:
        values: All values of the request's trace ID header. A valid trace ID is a
            single value that is a UUID of version 4 in any usual spelling. Other
            values are discarded.
    """
    try:
        (text,) = values
        return RequestTraceId(check_trace_id(text), text)
    except (ValueError, InvalidArgumentError):
        new = uuid4()
        return RequestTraceId(new, str(new))


def check_name(setting: str, value: object) -> str:
    """Return `value` if it is a valid name of a header or a cookie.

    Raises:
        ConfigurationError: `value` is not a valid name.
    """
    if not is_token(value):
        msg = f"{setting} must be a name of letters, digits, hyphens and the like"
        raise ConfigurationError(msg)
    return value
