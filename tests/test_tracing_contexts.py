"""Trace contexts that end in another context than they began in."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, ExitStack
from contextvars import Context, copy_context
from uuid import UUID

import anyio
import anyio.to_thread
import pytest

from plastiq_async import current_trace_id, trace_context

OUTER = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
INNER = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
OTHER = UUID("5d0f7a52-8f4b-4b7e-9f3f-6a8f3d1f2c11")


def in_context_of(trace_id: UUID) -> Context:
    """Return a context in which `trace_id` is current."""
    with trace_context(trace_id):
        return copy_context()


@pytest.mark.parametrize("other", [OTHER, INNER], ids=["another", "the same object"])
def test_unrelated_context(other: UUID) -> None:
    """The context in which the block ends keeps the trace ID that it had."""
    elsewhere = in_context_of(other)
    with trace_context(OUTER), ExitStack() as stack:
        stack.enter_context(trace_context(INNER))
        elsewhere.run(stack.close)
    assert elsewhere.run(current_trace_id) == other


def test_empty_context() -> None:
    """A context without a trace ID still has none when the block ends there."""
    elsewhere = Context()
    with trace_context(OUTER), ExitStack() as stack:
        stack.enter_context(trace_context(INNER))
        elsewhere.run(stack.close)
    assert elsewhere.run(current_trace_id) is None


@pytest.mark.parametrize("before", [OUTER, None])
def test_copied_context(before: UUID | None) -> None:
    """A copy that was made in the block has the trace ID of before when it ends."""

    def begin() -> tuple[ExitStack, Context]:
        stack = ExitStack()
        stack.enter_context(trace_context(INNER))
        return stack, copy_context()

    context = in_context_of(before) if before else Context()
    stack, copy = context.run(begin)
    assert copy.run(current_trace_id) == INNER
    copy.run(stack.close)
    assert copy.run(current_trace_id) == before


def test_error_passes_through() -> None:
    """The exception that ends the block elsewhere is raised unchanged."""

    def steps() -> Generator[None]:
        with trace_context(INNER):
            yield

    generator = steps()
    Context().run(next, generator)
    error = KeyError("x")
    with pytest.raises(KeyError) as info:
        Context().run(generator.throw, error)
    assert info.value is error
    assert info.value.__context__ is None


async def test_closed_by_another_task() -> None:
    """A task can close what another one has opened, and keeps its own trace ID."""
    seen: list[UUID | None] = []
    stack = AsyncExitStack()
    opened = anyio.Event()

    async def open_block() -> None:
        stack.enter_context(trace_context(INNER))
        opened.set()

    async def close_block() -> None:
        with trace_context(OTHER):
            await opened.wait()
            await stack.aclose()
            seen.append(current_trace_id())
        seen.append(current_trace_id())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(close_block)
        tasks.start_soon(open_block)
    assert seen == [OTHER, None]


async def test_threads() -> None:
    """Each half of a block may run in a thread, as Starlette runs a sync generator."""

    def steps() -> Iterator[UUID | None]:
        with trace_context(INNER):
            yield current_trace_id()

    generator = steps()
    with trace_context(OUTER):
        assert await anyio.to_thread.run_sync(next, generator) == INNER
        assert current_trace_id() == OUTER
        assert await anyio.to_thread.run_sync(next, generator, "ended") == "ended"
        assert current_trace_id() == OUTER


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_collected_generator() -> None:
    """A forgotten generator is closed by asyncio in another task, without an error."""
    problems: list[object] = []
    closed = anyio.Event()

    async def steps() -> AsyncIterator[UUID | None]:
        try:
            with trace_context(INNER):
                yield current_trace_id()
        finally:
            closed.set()

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context))
    with trace_context(OUTER):
        async for trace_id in steps():
            assert trace_id == INNER
            break
        gc.collect()
        await closed.wait()
    assert problems == []
    assert current_trace_id() is None
