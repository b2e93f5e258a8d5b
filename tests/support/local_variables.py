"""Failures, for checks of what crash reporters see in the local variables of frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from functools import partial
from uuid import uuid4

import anyio

from plastiq_async import PlastiqSession
from tests.support.echoes import echo_everything, echo_in_body, echo_in_reason, raw
from tests.support.errors import frames_of
from tests.support.private_requests import (
    Call,
    answer_in_full,
    answer_otherwise,
    quote_request,
)
from tests.support.private_texts import END_USER, SECRET
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Step
from tests.support.steps import answer, drop, ignore, reset, response

BODY = b'{"clientSecret": "%s"}' % SECRET.encode()


def stop_short(connection: Connection, request: Request) -> None:
    """Send fewer bytes than the Content-Length says, and close the connection."""
    headers = [("Content-Length", "99")]
    connection.send(response(request, body=BODY, headers=headers))
    connection.close()


STEPS: dict[str, Step] = {
    "good": answer_in_full,
    "refused": answer(400, BODY),
    "overloaded": answer(503, BODY),
    "malformed": answer(body=BODY[:-1]),
    "of another type": answer(body=b'{"clientSecret": ["%s"]}' % BODY[18:-2]),
    "of another shape": answer_otherwise,
    "too large": answer(body=BODY * 50_000),
    "not compressed": answer(body=BODY, headers=[("Content-Encoding", "gzip")]),
    "cut short": stop_short,
    "of another call": answer(body=BODY, trace_id=str(uuid4())),
    "no HTTP": raw(BODY + b"\r\n\r\n"),
    "dropped": drop,
    "reset": reset,
    "ignored": ignore,
    "echo in the body": echo_in_body,
    "quote of the request": quote_request,
    "echo in the reason": echo_in_reason,
    "echo of everything": echo_everything,
}
"""Steps that make a call fail, or nearly so, by name."""


def timeout_for(name: str) -> float:
    """Return a timeout for calls: short if the server will not respond at all."""
    return 0.5 if name == "ignored" else 30.0


async def failure(work: Callable[[], Awaitable[object]]) -> Exception | None:
    """Return what `work` raises, if anything, from its first frame on."""
    try:
        await work()
    except Exception as error:  # noqa: BLE001 -- the user's own errors, too
        return error
    return None


async def failures(
    calls: Iterable[Call], session: PlastiqSession
) -> list[Exception | None]:
    """Make `calls` at the same time, and return what each raises, if anything."""
    work = [partial(call, session) for call in calls]
    errors: list[Exception | None] = [None] * len(work)

    async def fill(index: int) -> None:
        errors[index] = await failure(work[index])

    async with anyio.create_task_group() as group:
        for index in range(len(work)):
            group.start_soon(fill, index)
    return errors


def variables(error: BaseException | None) -> Iterator[str]:
    """Yield what `frames_of` yields for an error that must be there."""
    assert error is not None
    yield from frames_of(error)


async def create(session: PlastiqSession) -> None:
    """Make a call for the private end user."""
    await session.client_secrets.create(PAYER, end_user=END_USER)
