"""`Resource`, the base of all resources, and the parts of their requests."""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import TracebackType
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID, uuid4

from plastiq_async._pipeline import Pipeline
from plastiq_async._secrets import hide
from plastiq_async._upload import Upload
from plastiq_async._validate import check_uuid
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.tracing import current_trace_id

P = ParamSpec("P")
T = TypeVar("T")


class Resource:
    """A namespace of operations.

    A method builds an `Operation` and lets the pipeline run it::

        return await self._pipeline.run(operation, options)

    Crash reporters collect the local variables in a traceback. So the tracebacks of its
    errors do not contain the frames that hold arguments, such as a mapping with a card
    number that was given in place of a `Card`: the caller's frame is followed by the
    pipeline's, or is the last one if an argument was refused or the deadline passed.
    """

    def __init_subclass__(cls) -> None:
        """Keep arguments out of the tracebacks of all methods."""
        for name, method in list(vars(cls).items()):
            if inspect.isfunction(method):
                setattr(cls, name, without_frames(method))

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline


_EXCHANGES = {Pipeline.exchange.__code__, Upload.exchange.__code__}


def _below_callers(traceback: TracebackType | None) -> TracebackType | None:
    """Return the part of `traceback` whose frames hold no arguments of the user's."""
    while traceback and traceback.tb_frame.f_code not in _EXCHANGES:
        traceback = traceback.tb_next
    return traceback


def _hide_headers(options: dict[str, Any]) -> None:
    """Hide the values of extra headers, since a log record may show the whole stack."""
    headers = options["extra_headers"]
    if isinstance(headers, Mapping):
        hidden = {name: hide(value) for name, value in headers.items()}
        options["extra_headers"] = hidden


def without_frames(method: Callable[P, T]) -> Callable[P, T]:
    """Return `method`, whose errors show no frame that holds its arguments."""
    method_async = cast("Callable[P, Awaitable[object]]", method)

    # A bare raise does not add this frame to the traceback again.
    @wraps(method)
    async def call_async(*args: P.args, **kwargs: P.kwargs) -> object:
        try:
            if "extra_headers" in kwargs:
                _hide_headers(kwargs)
            return await method_async(*args, **kwargs)
        except BaseException as error:
            error.__traceback__ = _below_callers(error.__traceback__)
            raise

    @wraps(method)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            if "extra_headers" in kwargs:
                _hide_headers(kwargs)
            return method(*args, **kwargs)
        except BaseException as error:
            error.__traceback__ = _below_callers(error.__traceback__)
            raise

    # It must be a coroutine function, too, for tools that make stubs.
    is_async = inspect.iscoroutinefunction(method)
    return cast("Callable[P, T]", call_async) if is_async else call


def with_trace_id(options: CallOptions) -> CallOptions:
    """Return `options` with a trace ID, for calls that belong together."""
    trace_id = options.get("trace_id")
    if trace_id is None:
        trace_id = current_trace_id() or uuid4()
    return {**options, "trace_id": trace_id}


def path_id(value: UUID) -> dict[str, str]:
    """Return the parameter of a path that contains the ID `value`."""
    return {"id": str(value)}


def payer_query(payer_id: UUID) -> dict[str, str]:
    """Return the query that names a payer."""
    return {"payerId": str(payer_id)}


def reference(name: str, value: UUID | str) -> dict[str, UUID]:
    """Return the object that refers to the ID `value` in a request body."""
    return {"id": check_uuid(name, value)}


def check_change(changes: Mapping[str, object]) -> None:
    """Raise unless at least one of `changes`, by argument, is given."""
    if all(value is None for value in changes.values()):
        raise InvalidArgumentError(f"give at least one of {', '.join(changes)}")
