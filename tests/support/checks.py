"""What must hold of all that comes out of a call, whatever came in."""

from __future__ import annotations

import json
import pickle
import re
import traceback
from collections.abc import Iterator
from typing import Any

import anyio

from plastiq_async import (
    APIResponseError,
    ClientSecret,
    PlastiqError,
    PlastiqSession,
)
from tests.helpers import PAYER

# Where it stands in what comes in, no error may repeat it.
SECRET = "s3cr3t"

# All that an error about a 2xx answer may say: places, never data.
_UNREADABLE = re.compile(
    r"unexpected answer with status \d{3}: (?:more than \d+ bytes|"
    r"an encoding that was not asked for|a corrupt encoding|a body that was cut short|"
    r"the body is not JSON|(?:missing|unexpected value|empty text) @ [$.\w]+) \[.*\]"
)
# A code, a message and 20 details of 500 characters each, and some words around them.
_LONGEST = 12_000


async def call(
    session: PlastiqSession, **arguments: Any
) -> ClientSecret | PlastiqError:
    """Return what a call comes to, which is neither a third thing nor a hang."""
    try:
        with anyio.fail_after(30):
            return await session.client_secrets.create(
                **{"payer_id": PAYER} | arguments
            )
    except PlastiqError as error:
        return error


async def call_once(
    session: PlastiqSession, **arguments: Any
) -> ClientSecret | PlastiqError:
    """Return what the only call of a session comes to."""
    async with session:
        return await call(session, **arguments)


def check_form(error: PlastiqError) -> None:
    """Make sure that an error is fit for logs and for queues."""
    text = str(error)
    assert text.isprintable()
    assert len(text) < _LONGEST
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    assert (type(copy), str(copy), vars(copy)) == (type(error), text, vars(error))
    if isinstance(error, APIResponseError):
        assert _UNREADABLE.fullmatch(text)


def check_error(error: PlastiqError) -> None:
    """Make sure of its form, and that `SECRET` is nowhere in it."""
    check_form(error)
    assert SECRET.encode() not in pickle.dumps(error)
    assert SECRET not in "".join(traceback.format_exception(error))
    for one in _chain(error):
        assert SECRET not in f"{one!r} {vars(one)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Give an error and all that hangs on it, shown or not."""
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)


def check_secret(secret: ClientSecret, content: bytes) -> None:
    """Make sure that a secret is the one in the body, and does not show it."""
    assert secret.client_secret == json.loads(content.decode())["clientSecret"]
    assert type(secret.client_secret) is str
    assert secret.client_secret
    assert 200 <= secret.response.status < 300
    assert SECRET not in repr(secret)
