"""Trace IDs: a context manager that sets the trace ID of calls."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from uuid import UUID, uuid4

from plastiq_async._validate import check_trace_id

__all__ = ["current_trace_id", "trace_context"]

_trace_id: ContextVar[UUID | None] = ContextVar("plastiq_trace_id", default=None)


def current_trace_id() -> UUID | None:
    """Return the trace ID of the innermost `trace_context`, or None outside of one."""
    return _trace_id.get()


@contextmanager
def trace_context(trace_id: UUID | str | None = None) -> Iterator[UUID]:
    """Use one trace ID for all calls in the block.

    Tasks started in the block inherit it. The `trace_id` argument of a call takes
    precedence. The trace ID is sent in the request header ``Trace-Id``.

    Args:
        trace_id: A UUID of version 4; a new one by default.

    Yields:
        The trace ID.

    Raises:
        InvalidArgumentError: `trace_id` is not a UUID of version 4.
    """
    chosen = uuid4() if trace_id is None else check_trace_id(trace_id)
    token = _trace_id.set(chosen)
    try:
        yield chosen
    finally:
        _trace_id.reset(token)
