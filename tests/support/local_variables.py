"""Failures, for checks of what crash reporters see in the local variables of frames."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import NoneType
from uuid import uuid4

from plastiq_async import PlastiqSession
from tests.support.echoes import echo_everything, echo_in_body, echo_in_reason, raw
from tests.support.internals import make_operation
from tests.support.private_texts import END_USER, SECRET
from tests.support.sessions import PAYER
from tests.support.socket_server import Connection, Request, Step
from tests.support.steps import answer, drop, ignore, reset, response

CARD = "4242424242424242"
BODY = b'{"clientSecret": "%s"}' % SECRET.encode()


def stop_short(connection: Connection, request: Request) -> None:
    """Send fewer bytes than the Content-Length says, and close the connection."""
    headers = [("Content-Length", "99")]
    connection.send(response(request, body=BODY, headers=headers))
    connection.close()


STEPS: dict[str, Step] = {
    "good": answer(body=BODY),
    "refused": answer(400, BODY),
    "overloaded": answer(503, BODY),
    "malformed": answer(body=BODY[:-1]),
    "of another type": answer(body=b'{"clientSecret": ["%s"]}' % BODY[18:-2]),
    "too large": answer(body=BODY * 50_000),
    "not compressed": answer(body=BODY, headers=[("Content-Encoding", "gzip")]),
    "cut short": stop_short,
    "of another call": answer(body=BODY, trace_id=str(uuid4())),
    "no HTTP": raw(BODY + b"\r\n\r\n"),
    "dropped": drop,
    "reset": reset,
    "ignored": ignore,
    "echo in the body": echo_in_body,
    "echo in the reason": echo_in_reason,
    "echo of everything": echo_everything,
}
"""Steps that make a call fail, or nearly so, by name."""


async def failure(work: Callable[[], Awaitable[object]]) -> Exception | None:
    """Return what `work` raises, if anything, from its first frame on."""
    try:
        await work()
    except Exception as error:  # noqa: BLE001 -- the user's own errors, too
        return error
    return None


async def create(session: PlastiqSession) -> None:
    """Make a call for the private end user, with a short deadline."""
    await session.client_secrets.create(PAYER, end_user=END_USER, timeout=0.5)


async def tokenize(session: PlastiqSession) -> None:
    """Make a call whose request body holds a card number."""
    operation = make_operation(body=b'{"number":"%s"}' % CARD.encode(), result=NoneType)
    await session._pipeline.run(operation, {"end_user": END_USER, "timeout": 0.5})


CALLS = (create, tokenize)
"""Calls with all kinds of private values."""
