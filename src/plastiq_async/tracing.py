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

    If the block ends in another context than it began in, nothing is raised, and that
    context keeps a trace ID of its own. FastAPI runs each half of a sync dependency
    with ``yield`` in such a context, so the endpoint does not see the trace ID. Use an
    async dependency, as `plastiq_async.integrations.fastapi` shows, or the middleware
    `plastiq_async.integrations.asgi.TraceIdMiddleware`.

    Args:
        trace_id: A UUID of version 4, as an object or as text: with or without hyphens,
            in braces or as a URN, in upper or lower case. A new one by default.

    Yields:
        The trace ID.

    Raises:
        InvalidArgumentError: `trace_id` is not a UUID of version 4.
    """
    # A new object, by which the block recognises its own value in another context.
    chosen = uuid4() if trace_id is None else UUID(int=check_trace_id(trace_id).int)
    before = _trace_id.get()
    token = _trace_id.set(chosen)
    try:
        yield chosen
    finally:
        try:
            _trace_id.reset(token)
        except ValueError:
            # In another context, only a copy that was made in the block has its value.
            if _trace_id.get() is chosen:
                _trace_id.set(before)
