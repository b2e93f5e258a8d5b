"""Checks of the result or the error of a call for arbitrary responses."""

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
from tests.support.sessions import PAYER

# Private text in responses, which no error may contain.
SECRET = "s3cr3t"

# Permitted texts of an error about a 2xx response: paths into the data, no data.
_UNREADABLE = re.compile(
    r"unexpected response(?: with status \d{3})?: (?:more than \d+ bytes|"
    r"headers that are too large or too many|"
    r"(?:an unknown encoding|the encoding [\w-]+), which was not requested|"
    r"more than \d+ encodings|a corrupt encoding|a body that was cut short|"
    r"the body is not JSON|(?:missing|unexpected value|empty text) @ [$.\w]+) \[.*\]"
)
# A code, a message and 20 details of 500 characters each, plus fixed text.
_LONGEST = 12_000


async def call(
    session: PlastiqSession, **arguments: Any
) -> ClientSecret | PlastiqError:
    """Return the result or the `PlastiqError` of a call; fail if the call hangs."""
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
    """Make one call, close the session and return the result or the error."""
    async with session:
        return await call(session, **arguments)


def check_form(error: PlastiqError) -> None:
    """Check that an error can be logged and pickled."""
    text = str(error)
    assert text.isprintable()
    assert len(text) < _LONGEST
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301 -- our own
    assert (type(copy), str(copy), vars(copy)) == (type(error), text, vars(error))
    if isinstance(error, APIResponseError):
        assert _UNREADABLE.fullmatch(text)


def check_error(error: PlastiqError) -> None:
    """Check the form of an error, and that it does not contain `SECRET`."""
    check_form(error)
    assert SECRET.encode() not in pickle.dumps(error)
    assert SECRET not in "".join(traceback.format_exception(error))
    for one in _chain(error):
        assert SECRET not in f"{one!r} {vars(one)}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and all its causes and contexts, suppressed ones included."""
    if error is not None:
        yield error
        yield from _chain(error.__cause__)
        yield from _chain(error.__context__)


def check_secret(secret: ClientSecret, content: bytes) -> None:
    """Check that a client secret matches the body and that its repr hides it."""
    assert secret.client_secret == json.loads(content.decode())["clientSecret"]
    assert type(secret.client_secret) is str
    assert secret.client_secret
    assert 200 <= secret.response.status < 300
    assert SECRET not in repr(secret)
