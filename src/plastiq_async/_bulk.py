"""`Bulk`: concurrent calls for the requests of an iterable, at the consumer's pace.

An async generator must not hold a task group open across a `yield` (PEP 789). So `Bulk`
is a context manager, whose block is the lifetime of the workers, and an iterator.
"""

from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterable,
)
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeVar

import anyio

from plastiq_async._hooks import is_stray, stray_cancellation
from plastiq_async._validate import is_count
from plastiq_async._window import Window
from plastiq_async.errors import InvalidArgumentError, SessionStateError
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class Bulk(
    AbstractAsyncContextManager[AsyncIterator[Outcome[RequestT, ResultT]]],
    AsyncIterator[Outcome[RequestT, ResultT]],
    Generic[RequestT, ResultT],
):
    """Context manager that makes calls concurrently, and iterator over their outcomes.

    Calls start at the pace at which outcomes are fetched, so that few outcomes wait. A
    `Window` says how many requests are held at any time, in flight or with an outcome
    that has not been fetched; at most `concurrency`.
    """

    def __init__(
        self,
        call: Callable[[RequestT], Awaitable[ResultT]],
        requests: Iterable[RequestT] | AsyncIterable[RequestT],
        concurrency: int,
    ) -> None:
        if not is_count(concurrency, least=1):
            raise InvalidArgumentError("concurrency must be an integer of 1 or more")
        if not isinstance(requests, AsyncIterable):
            if not isinstance(requests, Iterable):
                msg = "requests must be an iterable or an async iterable"
                raise InvalidArgumentError(msg)
            requests = _AsyncIterator(requests)
        self._call = call
        self._requests = aiter(requests)
        self._exhausted = False
        self._failure: Exception | None = None
        self._concurrency = concurrency
        self._workers = 0
        self._outcomes: deque[Outcome[RequestT, ResultT]] = deque()
        self._window = Window(concurrency)
        # The requests in flight or with an outcome that has not been fetched.
        self._held = 0
        # Acquired before a request is taken, released when its outcome is fetched,
        # unless the window has shrunk.
        self._issued = self._window.size
        self._permits = anyio.Semaphore(self._issued, fast_acquire=True)
        self._changed = anyio.Event()
        # An async generator cannot run twice at the same time.
        self._requests_lock = anyio.Lock(fast_acquire=True)

    async def __aenter__(self) -> AsyncIterator[Outcome[RequestT, ResultT]]:
        """Start the workers."""
        if self._workers or self._exhausted:
            raise SessionStateError("the block of create_many cannot be entered twice")
        self._workers = self._concurrency
        self._group = await anyio.create_task_group().__aenter__()
        for _ in range(self._workers):
            self._group.start_soon(self._work)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Cancel the calls in flight; an exception of the block is not wrapped."""
        self._exhausted = True
        self._failure = SessionStateError("the block of create_many is over")
        self._group.cancel_scope.cancel()
        try:
            # The task group would wrap the block's exception in an exception group.
            await self._group.__aexit__(None, None, None)
        finally:
            self._workers = 0
            self._outcomes.clear()
            self._changed.set()
            if isinstance(self._requests, AsyncGenerator):
                await self._requests.aclose()

    async def __anext__(self) -> Outcome[RequestT, ResultT]:
        """Return the next outcome.

        Raises:
            StopAsyncIteration: All outcomes were returned.
            SessionStateError: The block is over.
            Exception: The iterator of the requests raised it. It is raised after the
                outcomes of the earlier requests.
        """
        waited = False
        while self._workers and not self._outcomes:
            waited = True
            if self._changed.is_set():
                self._changed = anyio.Event()
            await self._changed.wait()
        if not self._outcomes:
            raise self._failure or StopAsyncIteration
        outcome = self._outcomes.popleft()
        self._window.record_fetch(
            waited=waited,
            full=self._held >= self._window.size,
            left=len(self._outcomes),
        )
        self._held -= 1
        self._issued -= 1
        while self._issued < self._window.size:
            self._issued += 1
            self._permits.release()
        return outcome

    async def _work(self) -> None:
        """Make calls until there are no more requests."""
        while not self._exhausted:
            await self._permits.acquire()
            try:
                request = await self._next_request()
            except StopAsyncIteration:
                break
            self._held += 1
            self._outcomes.append(await self._outcome_of(request))
            self._changed.set()
        self._workers -= 1
        self._permits.release()
        self._changed.set()

    async def _next_request(self) -> RequestT:
        """Return the next request."""
        async with self._requests_lock:
            if self._exhausted:
                raise StopAsyncIteration
            try:
                return await anext(self._requests)
            except StopAsyncIteration:
                self._exhausted = True
                raise
            except Exception as error:  # noqa: BLE001 -- raised by __anext__
                failure = error
            except anyio.get_cancelled_exc_class() as error:
                if not is_stray(error):
                    raise
                failure = stray_cancellation("the iterator of the requests")
                failure.__cause__ = error
            self._exhausted = True
            self._failure = failure
            raise StopAsyncIteration

    async def _outcome_of(self, request: RequestT) -> Outcome[RequestT, ResultT]:
        """Make the call for `request`, and return its outcome."""
        try:
            return Succeeded(request=request, result=await self._call(request))
        except Exception as error:  # noqa: BLE001 -- one failure never stops the rest
            return Failed(request=request, error=error)
        except anyio.get_cancelled_exc_class() as error:
            if not is_stray(error):
                raise
            failure = stray_cancellation("the call")
            failure.__cause__ = error
            return Failed(request=request, error=failure)


class _AsyncIterator(AsyncIterator[RequestT]):
    """Async iterator over an iterable; unlike a generator, it needs no closing."""

    def __init__(self, items: Iterable[RequestT]) -> None:
        self._items = iter(items)

    async def __anext__(self) -> RequestT:
        for item in self._items:
            return item
        raise StopAsyncIteration
