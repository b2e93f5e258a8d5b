"""Trace IDs: which one the calls of this task carry."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING
from uuid import uuid4

from plastiq_async._validate import check_trace_id

if TYPE_CHECKING:
    from collections.abc import Iterator
    from uuid import UUID

__all__ = ["current_trace_id", "trace_context"]

_trace_id: ContextVar[UUID | None] = ContextVar("plastiq_trace_id", default=None)


def current_trace_id() -> UUID | None:
    """Return the trace ID of the innermost `trace_context`, or None outside of one."""
    return _trace_id.get()


@contextmanager
def trace_context(trace_id: UUID | str | None = None) -> Iterator[UUID]:
    """Give every call in the block the same trace ID.

    Tasks that are started in the block inherit it. A `trace_id` argument of the call
    itself comes first. The API takes it in the request header ``Trace-Id``.

    Args:
        trace_id: A UUID of version 4; without it, a new one is made.

    Yields:
        The trace ID in force.

    Raises:
        InvalidArgumentError: `trace_id` is no UUID of version 4.
    """
    chosen = uuid4() if trace_id is None else check_trace_id(trace_id)
    token = _trace_id.set(chosen)
    try:
        yield chosen
    finally:
        _trace_id.reset(token)
