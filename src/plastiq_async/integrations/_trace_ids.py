"""Which trace ID a request gets, and how it gets into the log."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING
from uuid import uuid4

from plastiq_async._validate import check_trace_id, is_token
from plastiq_async.errors import ConfigurationError, InvalidArgumentError
from plastiq_async.tracing import current_trace_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from uuid import UUID


class TraceIdFilter(logging.Filter):
    """Put the trace ID of the request on each log record, as `record.trace_id`.

    The text of `current_trace_id()`, or ``"-"`` outside of a request. Add it to
    handlers: a logger's filter does not see the records of the loggers below it. Where
    records are queued, that is the `QueueHandler`, which runs in the request.
    ::

        handler.addFilter(TraceIdFilter())
        handler.setFormatter(logging.Formatter("%(trace_id)s %(message)s"))
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attribute.

        Args:
            record: The record; none is held back.

        Returns:
            True.
        """
        record.trace_id = str(current_trace_id() or "-")
        return True


def inbound_trace_id(values: Sequence[str]) -> UUID:
    """Return the trace ID that a request brought along, or a new one.

    Args:
        values: The values of its header, each for itself. Only a single, valid one
            counts: whoever sent another is a stranger, and nothing of it is kept.
    """
    try:
        (value,) = values
        return check_trace_id(value)
    except (ValueError, InvalidArgumentError):
        return uuid4()


def check_name(setting: str, value: object) -> str:
    """Return `value` if it can be the name of a header or of a cookie.

    Raises:
        ConfigurationError: It cannot.
    """
    if not is_token(value):
        msg = f"{setting} must be a name of letters, digits, hyphens and the like"
        raise ConfigurationError(msg)
    return value
