"""Trace contexts: the current trace ID and its inheritance by tasks."""

from __future__ import annotations

from uuid import RFC_4122, UUID

import anyio
import pytest

from plastiq_async import InvalidArgumentError, current_trace_id, trace_context

OUTER = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
INNER = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")


def test_none_outside() -> None:
    """Outside a context there is no trace ID."""
    assert current_trace_id() is None


@pytest.mark.parametrize(
    "trace_id", [OUTER, str(OUTER), str(OUTER).upper(), OUTER.hex, OUTER.urn]
)
def test_given(trace_id: UUID | str) -> None:
    """A given trace ID is current within the block, and is yielded as a UUID."""
    with trace_context(trace_id) as chosen:
        assert chosen == current_trace_id() == OUTER
        assert isinstance(chosen, UUID)
    assert current_trace_id() is None


def test_made() -> None:
    """Without a given trace ID, each context makes a new version 4 UUID."""
    with trace_context() as first:
        assert current_trace_id() == first
    with trace_context() as second:
        assert current_trace_id() == second
    assert first != second
    assert (first.version, first.variant) == (4, RFC_4122)


def test_nested() -> None:
    """The innermost context applies, and the outer one is restored after it."""
    with trace_context(OUTER):
        with trace_context(INNER):
            assert current_trace_id() == INNER
        assert current_trace_id() == OUTER


def test_left_by_exception() -> None:
    """An exception ends the context and propagates unchanged."""
    error = KeyError("x")
    with pytest.raises(KeyError) as info, trace_context(OUTER):
        raise error
    assert info.value is error
    assert current_trace_id() is None


@pytest.mark.parametrize(
    "trace_id", ["", "abc", "5b0c7a3e-93d4-11ee-b9d1-0242ac120002", UUID(int=0)]
)
def test_refused(trace_id: UUID | str) -> None:
    """A value that is not a version 4 UUID is rejected and changes nothing."""
    with trace_context(OUTER):
        with pytest.raises(InvalidArgumentError), trace_context(trace_id):
            pytest.fail("the block was entered")
        assert current_trace_id() == OUTER


def test_decorator() -> None:
    """As a decorator, the context makes a new trace ID for each call."""

    @trace_context()
    def traced() -> UUID | None:
        return current_trace_id()

    first, second = traced(), traced()
    assert None not in {first, second}
    assert first != second


@pytest.mark.slow
async def test_tasks_inherit() -> None:
    """Tasks that are started in a context, and only those, inherit its trace ID."""
    seen: dict[str, UUID | None] = {}

    async def look(name: str) -> None:
        await anyio.lowlevel.checkpoint()
        seen[name] = current_trace_id()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(look, "before")
        with trace_context(OUTER):
            tasks.start_soon(look, "in outer")
            with trace_context(INNER):
                tasks.start_soon(look, "in inner")
        tasks.start_soon(look, "after")
    assert seen == {
        "before": None,
        "in outer": OUTER,
        "in inner": INNER,
        "after": None,
    }


async def test_tasks_keep_to_themselves() -> None:
    """A context in a task does not affect its parent and sibling tasks."""
    seen: list[UUID | None] = []
    opened = anyio.Event()
    looked = anyio.Event()

    async def trace() -> None:
        with trace_context(INNER):
            opened.set()
            await looked.wait()
            seen.append(current_trace_id())

    async def look() -> None:
        await opened.wait()
        seen.append(current_trace_id())
        looked.set()

    with trace_context(OUTER):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(trace)
            tasks.start_soon(look)
        seen.append(current_trace_id())
    assert seen == [OUTER, INNER, OUTER]
