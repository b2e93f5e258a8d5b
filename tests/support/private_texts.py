"""Where to look for what is private, and what that is."""

from __future__ import annotations

import base64
import pickle
import traceback
from collections.abc import Iterable, Iterator

import pytest

from plastiq_async import EndUser, PlastiqError
from tests.helpers import TOKEN

SECRET = "XYZCLIENTSECRET123"
CREDENTIALS = "user:passw0rd"
END_USER = EndUser(user_agent="Mozilla/5.0", ip="203.0.113.77", device_id="d3v1ce-1d")
PRIVATE = [
    # Not all of it, since a part is too much, too.
    TOKEN[:10],
    SECRET,
    "passw0rd",
    base64.b64encode(CREDENTIALS.encode()).decode(),
    str(END_USER.ip),
    str(END_USER.device_id),
]


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Give every text of an error, and of all that hangs on it, shown or not."""
    if error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from traceback.format_exception(error)
        if isinstance(error, PlastiqError):
            yield pickle.dumps(error).decode("latin-1")
        yield from texts_of(error.__cause__)
        yield from texts_of(error.__context__)


def logged(caplog: pytest.LogCaptureFixture) -> Iterator[str]:
    """Give all that the handlers of the log were told."""
    for record in caplog.records:
        yield record.getMessage()
        yield repr(vars(record))
        if record.exc_info:
            yield from texts_of(record.exc_info[1])


def assert_untold(texts: Iterable[str], private: Iterable[str] = PRIVATE) -> None:
    """Make sure that nothing private is in the texts."""
    for text in texts:
        for one in private:
            assert one not in text
