"""`bulk`: concurrent calls for the items of an iterable, at the consumer's pace.

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
from inspect import isawaitable
from typing import Generic, TypeVar

import anyio

from plastiq_async._hooks import (
    is_stray,
    name_hook,
    stray_cancellation,
    wrong_result,
)
from plastiq_async._pace import paced_first
from plastiq_async._validate import is_count
from plastiq_async._window import Window
from plastiq_async.errors import InvalidArgumentError, SessionStateError
from plastiq_async.models.outcomes import Failed, Outcome, Succeeded

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")


class Bulk(
    AbstractAsyncContextManager[AsyncIterator[Outcome[ItemT, ResultT]]],
    AsyncIterator[Outcome[ItemT, ResultT]],
    Generic[ItemT, ResultT],
):
    """Context manager that makes calls concurrently, and iterator over their outcomes.

    Calls start at the pace at which outcomes are fetched, so that few outcomes wait. A
    `Window` says how many items are held at any time, in flight or with an outcome
    that has not been fetched; at most `concurrency`.
    """

    def __init__(
        self,
        call: Callable[[ItemT], Awaitable[ResultT]],
        items: AsyncIterator[ItemT],
        concurrency: int,
    ) -> None:
        if not is_count(concurrency, least=1):
            raise InvalidArgumentError("concurrency must be an integer of 1 or more")
        self._call = call
        self._items = items
        self._exhausted = False
        self._failure: Exception | None = None
        self._concurrency = concurrency
        self._workers = 0
        self._outcomes: deque[Outcome[ItemT, ResultT]] = deque()
        self._window = Window(concurrency)
        # The items in flight or with an outcome that has not been fetched.
        self._held = 0
        # Acquired before an item is taken, released when its outcome is fetched,
        # unless the window has shrunk.
        self._issued = self._window.size
        self._permits = anyio.Semaphore(self._issued, fast_acquire=True)
        self._changed = anyio.Event()
        # An async generator cannot run twice at the same time.
        self._items_lock = anyio.Lock(fast_acquire=True)

    async def __aenter__(self) -> AsyncIterator[Outcome[ItemT, ResultT]]:
        """Start the workers."""
        if self._workers or self._exhausted:
            raise SessionStateError("this block cannot be entered twice")
        self._workers = self._concurrency
        self._group = await anyio.create_task_group().__aenter__()
        for _ in range(self._workers):
            self._group.start_soon(self._work)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Cancel the calls in flight; an exception of the block is not wrapped."""
        self._exhausted = True
        self._failure = SessionStateError("the block of these outcomes is over")
        self._group.cancel_scope.cancel()
        try:
            # The task group would wrap the block's exception in an exception group.
            await self._group.__aexit__(None, None, None)
        finally:
            self._workers = 0
            self._outcomes.clear()
            self._changed.set()
            if isinstance(self._items, AsyncGenerator):
                await self._items.aclose()

    async def __anext__(self) -> Outcome[ItemT, ResultT]:
        """Return the next outcome.

        Raises:
            StopAsyncIteration: All outcomes were returned.
            SessionStateError: The block is over.
            Exception: The iterator of the items raised it. It is raised after the
                outcomes of the earlier items.
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
        """Make calls until there are no more items."""
        # Or the last calls would have no time left when their turn comes. It is set in
        # the context of this task only.
        paced_first.set(True)
        while not self._exhausted:
            await self._permits.acquire()
            try:
                item = await self._next_item()
            except StopAsyncIteration:
                break
            self._held += 1
            self._outcomes.append(await self._outcome_of(item))
            self._changed.set()
        self._workers -= 1
        self._permits.release()
        self._changed.set()

    async def _next_item(self) -> ItemT:
        """Return the next item."""
        async with self._items_lock:
            if self._exhausted:
                raise StopAsyncIteration
            try:
                return await anext(self._items)
            except StopAsyncIteration:
                self._exhausted = True
                raise
            except Exception as error:  # noqa: BLE001 -- raised by __anext__
                failure = error
            except anyio.get_cancelled_exc_class() as error:
                if not is_stray(error):
                    raise
                failure = stray_cancellation("the iterator of the items")
                failure.__cause__ = error
            self._exhausted = True
            self._failure = failure
            raise StopAsyncIteration

    async def _outcome_of(self, item: ItemT) -> Outcome[ItemT, ResultT]:
        """Make the call for `item`, and return its outcome."""
        failure: Exception
        try:
            pending = self._call(item)
            if isawaitable(pending):
                return Succeeded(request=item, result=await pending)
            failure = wrong_result("call", self._call, pending, "an awaitable")
        except Exception as error:  # noqa: BLE001 -- one failure never stops the rest
            _forget_first_frame(error)
            failure = error
        except anyio.get_cancelled_exc_class() as error:
            if not is_stray(error):
                raise
            _forget_first_frame(error)
            failure = stray_cancellation(name_hook("call", self._call))
            failure.__cause__ = error
        return Failed(request=item, error=failure)


def bulk(
    call: Callable[[ItemT], Awaitable[ResultT]],
    items: Iterable[ItemT] | AsyncIterable[ItemT],
    *,
    concurrency: int = 10,
) -> AbstractAsyncContextManager[AsyncIterator[Outcome[ItemT, ResultT]]]:
    """Make a call for each of many items, several at once.

    Outcomes arrive in the order of completion, each with its item as `request`. A
    failure is an outcome, too, and stops nothing. Leaving the block early cancels the
    calls in flight::

        async with bulk(plastiq.payers.retrieve, payer_ids) as outcomes:
            async for outcome in outcomes:
                match outcome:
                    case Succeeded(request=payer_id, result=payer):
                        ...
                    case Failed(request=payer_id, error=error):
                        ...

    Each item is taken once and its call is made once; the retries are those of the
    operation. Calls start at the pace at which outcomes are fetched, so that an
    iterable of any length takes no more memory than `concurrency` items.

    To pay in bulk, each item must contain its idempotency key and be stored before,
    because leaving the block loses the outcomes that were not fetched. See
    ``docs/bulk.md``.

    With a rate limit, the deadline of a call starts when its turn has come.

    Args:
        call: An async function of one item, such as a method of a resource.
        items: An iterable or async iterable. An exception of its own ends the outcomes,
            after those of the items before. An async generator is closed at the end of
            the block.
        concurrency: The most calls in flight and outcomes to fetch at any time, 1 or
            more. Above the session's `max_connections`, calls wait within their
            deadlines.

    Returns:
        An async context manager, to be entered once, which returns an async iterator
        over the outcomes. What `call` raises is in its outcome, and so is a `HookError`
        if it returns no awaitable. An exception that is no `Exception`, such as
        `SystemExit`, cancels the other calls and leaves the block in an exception
        group.

    Raises:
        InvalidArgumentError: An argument is not valid.
    """
    if not callable(call):
        raise InvalidArgumentError("call must be an async function of one item")
    return Bulk(call, iterate("items", items), concurrency)


def iterate(
    name: str, items: Iterable[ItemT] | AsyncIterable[ItemT]
) -> AsyncIterator[ItemT]:
    """Return an async iterator over the argument `items`, which is called `name`."""
    if isinstance(items, AsyncIterable):
        return aiter(items)
    if isinstance(items, Iterable):
        return _AsyncIterator(items)
    raise InvalidArgumentError(f"{name} must be an iterable or an async iterable")


class _AsyncIterator(AsyncIterator[ItemT]):
    """Async iterator over an iterable; unlike a generator, it needs no closing."""

    def __init__(self, items: Iterable[ItemT]) -> None:
        self._items = iter(items)

    async def __anext__(self) -> ItemT:
        for item in self._items:
            return item
        raise StopAsyncIteration


def _forget_first_frame(error: BaseException) -> None:
    """Remove our own frame from a traceback, because its item may hold secrets."""
    traceback = error.__traceback__
    error.__traceback__ = traceback and traceback.tb_next
