"""`Telemetry`: calls the observer with the record of each call."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import anyio
import attrs

from plastiq_async._call import Call
from plastiq_async._call_record import CallInfo, CallRecord, Observer, info_of
from plastiq_async._hooks import name_hook
from plastiq_async._logging import logger
from plastiq_async.errors import (
    APIResponseError,
    APIStatusError,
    ConfigurationError,
    DocumentUploadError,
    PlastiqError,
)
from plastiq_async.models.common import ResponseInfo

T = TypeVar("T")


_CallEnd = Callable[[CallRecord, BaseException | None], object]
"""What is called when a call has ended, with the exception if it failed."""


class SpanObserver(ABC):
    """An observer that is also called when a call begins, in the caller's context."""

    @abstractmethod
    def __call__(self, record: CallRecord, /) -> object:
        """Handle the end of a call."""

    @abstractmethod
    def begin(self, call: CallInfo) -> _CallEnd:
        """Handle the beginning of `call`, and return what is called at its end."""


@attrs.define(eq=False)
class Measurements:
    """What is measured of a call only if it is observed.

    Attributes:
        began: When the call began.
        pace_wait: As on `CallRecord`.
        permit_wait: As on `CallRecord`. None if there is no permit yet.
        retries: As on `CallRecord`.
        quota_exhausted: As on `CallRecord`.
    """

    began: float
    pace_wait: float = 0.0
    permit_wait: float | None = None
    retries: tuple[str, ...] = ()
    quota_exhausted: bool = False

    def permitted(self) -> None:
        """Take note that the call has its permit."""
        self.permit_wait = anyio.current_time() - self.began - self.pace_wait

    def retrying(self, error: PlastiqError | None) -> None:
        """Take note that the call is retried after `error`."""
        self.retries += (type(error).__qualname__,)


@contextmanager
def measured_pace(call: Call) -> Iterator[None]:
    """Measure the block, in which `call` waits for a rate limit, if it is observed."""
    measured = call.measured
    if measured is None:
        yield
        return
    began = anyio.current_time()
    try:
        yield
    finally:
        measured.pace_wait += anyio.current_time() - began


class Telemetry:
    """Calls the observer of a session with the record of each call.

    Whatever the observer does, the calls go on as if there were none.
    """

    def __init__(self, observer: Observer) -> None:
        self._name = name_hook("observer", observer)
        self._begin = (
            observer.begin
            if isinstance(observer, SpanObserver)
            else partial(_begin, observer)
        )

    async def observe(self, call: Call, performing: Awaitable[T]) -> T:
        """Return the result of `performing` the call, and tell how it ended."""
        call.measured = measured = Measurements(anyio.current_time())
        end = self._guard(self._begin, info_of(call))
        finish = partial(self._guard, _finish, end, call, measured)
        try:
            result = await performing
        except BaseException as error:
            finish(error, None)
            raise
        finish(None, result)
        return result

    def _guard(self, hook: Callable[..., T], *arguments: object) -> T | None:
        """Return the result of `hook`, or None after logging why there is none."""
        try:
            result = hook(*arguments)
        except (Exception, anyio.get_cancelled_exc_class()) as error:  # noqa: BLE001 -- logged
            # asyncio's future of something cancelled raises a CancelledError.
            problem = f"raised {type(error).__qualname__}"
        else:
            if not inspect.isawaitable(result):
                return result
            if inspect.iscoroutine(result):
                result.close()  # or Python would warn that it was never awaited
            problem = "returned an awaitable, which nobody awaits"
        logger.error("%s %s", self._name, problem)
        return None


def _begin(observer: Observer, call: CallInfo) -> _CallEnd:
    """Return what passes the record of `call` on to `observer`."""
    del call
    return lambda record, _: observer(record)


def _finish(
    end: _CallEnd | None,
    call: Call,
    measured: Measurements,
    error: BaseException | None,
    result: object,
) -> object:
    """Call `end` with the record of `call`, unless its beginning failed."""
    return end and end(_record(call, measured, error, result), error)


def _record(
    call: Call, measured: Measurements, error: BaseException | None, result: object
) -> CallRecord:
    """Return the record of `call`, which ended with `error` or with `result`."""
    ours = error if isinstance(error, PlastiqError) else None
    found: object = getattr(result, "response", None)
    response = found if isinstance(found, ResponseInfo) else None
    source = response or ours
    info = info_of(call)
    elapsed = anyio.current_time() - measured.began
    permit_wait = measured.permit_wait
    if permit_wait is None:  # all that it did was to wait
        permit_wait = max(0.0, elapsed - measured.pace_wait)
    return CallRecord(
        operation=info.operation,
        method=info.method,
        path=info.path,
        trace_id=(source and source.trace_id) or info.trace_id,
        idempotency_key=info.idempotency_key,
        attempts=info.attempts,
        deadline=info.deadline,
        host=info.host,
        status=_status(call, ours, response),
        error_type=None if error is None else type(error).__qualname__,
        cancelled=isinstance(error, anyio.get_cancelled_exc_class()),
        outcome_unknown=call.outcome_unknown,
        replayed=isinstance(source, (ResponseInfo, APIStatusError)) and source.replayed,
        elapsed=elapsed,
        permit_wait=permit_wait,
        pace_wait=measured.pace_wait,
        retries=measured.retries,
        quota_exhausted=measured.quota_exhausted,
    )


def _status(
    call: Call, error: PlastiqError | None, response: ResponseInfo | None
) -> int | None:
    if response is not None:
        return response.status
    if isinstance(error, (APIStatusError, APIResponseError, DocumentUploadError)):
        return error.status_code
    return call.success


def make_telemetry(observer: object) -> Telemetry | None:
    """Return the telemetry of a session with this setting."""
    if observer is None:
        return None
    if not callable(observer) or _is_async(observer):
        raise ConfigurationError("observer must be a callable that is not async")
    return Telemetry(observer)


def _is_async(hook: Callable[..., object]) -> bool:
    return inspect.iscoroutinefunction(hook) or inspect.iscoroutinefunction(
        type(hook).__call__
    )
