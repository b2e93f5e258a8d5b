"""Many requests at once: workers that take them from an iterable as it goes on.

An async generator must not hold a task group open across a `yield` (PEP 789): hence a
context manager, whose block is where the workers live, and an iterator within.
"""

from __future__ import annotations

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
from typing import TYPE_CHECKING, Generic, TypeVar

import anyio

from plastiq_async._validate import is_count
from plastiq_async.errors import InvalidArgumentError, SessionStateError
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded

if TYPE_CHECKING:
    from types import TracebackType

RequestT = TypeVar("RequestT")
ResultT = TypeVar("ResultT")


class Bulk(
    AbstractAsyncContextManager[AsyncIterator[Outcome[RequestT, ResultT]]],
    AsyncIterator[Outcome[RequestT, ResultT]],
    Generic[RequestT, ResultT],
):
    """The block in which the workers live, and the outcomes as they come.

    What is in memory at any time, calls under way and outcomes not fetched together,
    is one request for each worker.

    Args:
        call: Makes one call.
        requests: What to call it with. An async generator is closed with the block.
        concurrency: How many workers there are, 1 or more.

    Raises:
        InvalidArgumentError: `requests` or `concurrency` is something else.
    """

    def __init__(
        self,
        call: Callable[[RequestT], Awaitable[ResultT]],
        requests: Iterable[RequestT] | AsyncIterable[RequestT],
        concurrency: int,
    ) -> None:
        if not is_count(concurrency, least=1):
            msg = "concurrency must be an integer of 1 or more"
            raise InvalidArgumentError(msg)
        self._call = call
        self._requests = _iterate(requests)
        self._exhausted = False
        self._failure: Exception | None = None
        self._concurrency = concurrency
        self._workers = 0
        # Fetching an outcome makes room for another request.
        self._outcomes: deque[Outcome[RequestT, ResultT]] = deque()
        self._room = anyio.Semaphore(concurrency, fast_acquire=True)
        self._news = anyio.Event()
        # An async generator cannot be asked by two at a time.
        self._turn = anyio.Lock(fast_acquire=True)

    async def __aenter__(self) -> AsyncIterator[Outcome[RequestT, ResultT]]:
        """Start the workers.

        Raises:
            SessionStateError: It was entered before.
        """
        if self._workers or self._exhausted:
            msg = "the block of create_many cannot be entered twice"
            raise SessionStateError(msg)
        self._workers = self._concurrency
        self._group = await anyio.create_task_group().__aenter__()
        for _ in range(self._workers):
            self._group.start_soon(self._work)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel what still runs, and let the block's own exception out as it is."""
        self._exhausted = True
        self._failure = SessionStateError("the block of create_many is over")
        self._group.cancel_scope.cancel()
        try:
            # Told of the block's exception, the group would wrap it.
            await self._group.__aexit__(None, None, None)
        finally:
            self._workers = 0
            self._outcomes.clear()
            self._news.set()
            if isinstance(self._requests, AsyncGenerator):
                await self._requests.aclose()

    async def __anext__(self) -> Outcome[RequestT, ResultT]:
        """Return the next outcome.

        Raises:
            StopAsyncIteration: All requests have had theirs.
            SessionStateError: The block is over.
            Exception: What the requests' own iterator raised, after the outcomes of
                those before.
        """
        while self._workers and not self._outcomes:
            if self._news.is_set():
                self._news = anyio.Event()
            await self._news.wait()
        if not self._outcomes:
            raise self._failure or StopAsyncIteration
        self._room.release()
        return self._outcomes.popleft()

    async def _work(self) -> None:
        while not self._exhausted:
            await self._room.acquire()
            try:
                request = await self._take()
            except StopAsyncIteration:
                break
            self._outcomes.append(await self._outcome(request))
            self._news.set()
        self._workers -= 1
        self._room.release()
        self._news.set()

    async def _take(self) -> RequestT:
        async with self._turn:
            if self._exhausted:
                raise StopAsyncIteration
            try:
                return await anext(self._requests)
            except StopAsyncIteration:
                self._exhausted = True
                raise
            except Exception as error:
                self._exhausted = True
                self._failure = error
                raise StopAsyncIteration from error

    async def _outcome(self, request: RequestT) -> Outcome[RequestT, ResultT]:
        try:
            return Succeeded(request=request, result=await self._call(request))
        except Exception as error:  # noqa: BLE001 -- one failure never stops the rest
            return Failed(request=request, error=error)


def _iterate(
    requests: Iterable[RequestT] | AsyncIterable[RequestT],
) -> AsyncIterator[RequestT]:
    if isinstance(requests, AsyncIterable):
        return aiter(requests)
    if isinstance(requests, Iterable):
        return _FromIterable(requests)
    msg = "requests must be an iterable or an async iterable"
    raise InvalidArgumentError(msg)


class _FromIterable(AsyncIterator[RequestT]):
    """An iterable as an async iterator; no generator, which would need closing."""

    def __init__(self, items: Iterable[RequestT]) -> None:
        self._items = iter(items)

    async def __anext__(self) -> RequestT:
        for item in self._items:
            return item
        raise StopAsyncIteration
