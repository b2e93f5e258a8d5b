"""Private values, and checks that no text contains them."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterable, Iterator

import pytest

from plastiq_async import EndUser, PlastiqError
from tests.support.sessions import TOKEN

SECRET = "XYZCLIENTSECRET123"
CREDENTIALS = "user:passw0rd"
END_USER = EndUser(user_agent="Mozilla/5.0", ip="203.0.113.77", device_id="d3v1ce-1d")
PRIVATE = [
    # Only a prefix, because a part of the token must not leak either.
    TOKEN[:10],
    SECRET,
    "passw0rd",
    base64.b64encode(CREDENTIALS.encode()).decode(),
    str(END_USER.ip),
    str(END_USER.device_id),
]


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Yield every text of an error and of its causes and contexts."""
    if error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from traceback.format_exception(error)
        if isinstance(error, PlastiqError):
            yield pickle.dumps(error).decode("latin-1")
        yield from texts_of(error.__cause__)
        yield from texts_of(error.__context__)


def logged(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """Yield every text of the captured log records."""
    for record in caplog.records:
        yield record.getMessage()
        yield repr(vars(record))
        if record.exc_info:
            yield from texts_of(record.exc_info[1])


def assert_untold(texts: Iterable[str], private: Iterable[str] = PRIVATE) -> None:
    """Check that none of the texts contains a private value."""
    for text in texts:
        for one in private:
            assert one not in text
