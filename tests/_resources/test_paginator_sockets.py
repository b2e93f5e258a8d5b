"""Listings over sockets: leaving early, cancellation, lost connections."""

from __future__ import annotations

import gc
import json
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import anyio
import anyio.lowlevel
import pytest

from plastiq_async import APIConnectionError
from tests._resources.widgets import SessionWithWidgets
from tests.support.sessions import ANY_CONTEXT, PAYER, TOKEN
from tests.support.socket_server import Connection, Request, Server, Step
from tests.support.steps import response
from tests.support.timing import eventually
from tests.support.wirings import WIRINGS

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("wiring", WIRINGS, ids="-".join),
]


@pytest.fixture
def anyio_backend(wiring: tuple[str, str]) -> str:
    """Run the test on this event loop."""
    return wiring[0]


def session_for(
    server: Server, wiring: tuple[str, str], **options: Any
) -> SessionWithWidgets:
    """Return a session with a server."""
    return SessionWithWidgets(
        TOKEN,
        base_url=server.base_url,
        transport=wiring[1],  # type: ignore[arg-type]  # any text
        verify=ANY_CONTEXT,
        max_retries=0,
        **options,
    )


def offset_of(request: Request) -> int:
    """Return the offset that a request asks for."""
    return int(parse_qs(urlsplit(request.line.split()[1]).query)["offset"][0])


def offsets_of(server: Server) -> list[int]:
    """Return the offsets that a server was asked for."""
    return [offset_of(request) for request in server.requests]


def page_of(request: Request) -> bytes:
    """Return the response with the page of two widgets that a request asks for."""
    first = offset_of(request)
    widgets = [
        {
            "id": str(UUID(int=number)),
            "payer": {"id": PAYER},
            "name": str(number),
            "amount": 1,
            "createdAt": "2020-11-19T01:35:53.096Z",
            "status": "ACTIVE",
        }
        for number in (first, first + 1)
    ]
    pagination = {"offset": first, "hasNextPage": first < 4}
    body = json.dumps({"data": widgets, "pagination": pagination}).encode()
    return response(request, body=body)


def page(connection: Connection, request: Request) -> None:
    """Send the page that is asked for, one of three."""
    connection.send(page_of(request))


def first_page(connection: Connection, request: Request) -> None:
    """Send the first page, whatever is asked for."""
    line = request.line.replace(f"offset={offset_of(request)}", "offset=0")
    connection.send(page_of(Request(line, request.headers, request.body)))


def half_page(then: Step) -> Step:
    """Return the step that sends half of a page before it does something else."""

    def step(connection: Connection, request: Request) -> None:
        data = page_of(request)
        connection.send(data[: len(data) - 100])
        then(connection, request)

    return step


def wait(connection: Connection, _: Request) -> None:
    """Wait until the client closes the connection."""
    connection.receive()


def close(connection: Connection, _: Request) -> None:
    """Close the connection."""
    connection.close()


async def test_left_early(wiring: tuple[str, str]) -> None:
    """A loop that is left keeps no connection: the next call has the only one."""
    with Server(page) as server:
        async with session_for(server, wiring, max_connections=1) as session:
            for number in range(3):
                async for widget in session.widgets.list(limit=2):
                    if widget.name == str(number):
                        break
                async for _ in session.widgets.list(limit=2).pages():
                    break
                # The event loops warn of suspended generators, which is an error here.
                gc.collect()
                await anyio.lowlevel.checkpoint()
        assert len(server.connections) == 1
        await eventually(lambda: server.open_connections == 0)
    assert offsets_of(server) == [0, 0, 0, 0, 0, 2, 0]


async def test_endless_server(wiring: tuple[str, str]) -> None:
    """A server that sends the same page again and again is left at the limit."""
    with Server(first_page) as server:
        async with session_for(server, wiring, max_connections=1) as session:
            widgets = await session.widgets.list(limit=2).collect(limit=99)
        assert len(server.connections) == 1
    assert len(widgets) == 99
    assert {widget.name for widget in widgets} == {"0", "1"}
    assert offsets_of(server) == list(range(0, 99, 2))


async def test_cancelled_in_the_middle_of_a_page(wiring: tuple[str, str]) -> None:
    """After a cancellation the connection is closed, and the iteration can go on."""
    with Server(page, half_page(wait), page) as server:
        async with session_for(server, wiring, max_connections=1) as session:
            items = aiter(session.widgets.list(limit=2))
            names = [(await anext(items)).name, (await anext(items)).name]

            async def advance() -> None:
                await anext(items)

            async with anyio.create_task_group() as group:
                group.start_soon(advance)
                await eventually(lambda: len(server.requests) == 2)
                await anyio.sleep(0.05)
                group.cancel_scope.cancel()
            await eventually(lambda: server.open_connections == 0)
            names += [widget.name async for widget in items]
    assert names == ["0", "1", "2", "3", "4", "5"]
    assert offsets_of(server) == [0, 2, 2, 4]


async def test_resumed_after_lost_connections(wiring: tuple[str, str]) -> None:
    """A new listing goes on where the connection was lost, in another session, too."""
    names: list[str] = []
    offset: int | None = 0
    with Server(half_page(close), page, half_page(close), page) as server:
        while offset is not None:
            resumed, offset = offset, None
            async with session_for(server, wiring) as session:
                try:
                    async for widget in session.widgets.list(limit=2, offset=resumed):
                        names.append(widget.name)  # noqa: PERF401 -- kept on errors
                except APIConnectionError as error:
                    offset = error.resume_offset
    assert names == ["0", "1", "2", "3", "4", "5"]
    assert offsets_of(server) == [0, 0, 2, 2, 4]
