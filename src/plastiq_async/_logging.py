"""What is logged, and nothing else: one line per attempt, without any secret."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from plastiq_async._call import exchanging
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from plastiq_async._call import Call

logger = logging.getLogger("plastiq_async")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
# By allow list: a header that is added tomorrow may hold a secret.
_SHOWN_HEADERS = ("content-type", "retry-after")


# What httpcore quotes: the wire, perhaps with another's secret; the headers of an
# answer, perhaps with our token; the credentials for a SOCKS proxy.
_QUOTED = re.compile(
    r"(bytearray\(|return_value=\(b'HTTP/[0-9.]+', \d+, | auth=\()(?s:.*)"
)


def _unquote(record: logging.LogRecord) -> bool:
    """Cut off what a record quotes, if it is about a call and no other client's."""
    if exchanging.get(None) and isinstance(record.msg, str):
        record.msg = _QUOTED.sub(r"\1(not shown)", record.msg)
    return True


def set_up_logging() -> None:
    """Write this library's log to stderr if ``PLASTIQ_LOG`` says so.

    And make sure, whatever it says, that httpcore's own log tells no secrets.

    Raises:
        ConfigurationError: It is set to something else than ``debug`` or ``info``.
    """
    for name in ("http11", "socks"):
        logging.getLogger(f"httpcore.{name}").addFilter(_unquote)
    wanted = os.environ.get("PLASTIQ_LOG")
    if not wanted:
        return
    level = _LEVELS.get(wanted.lower())
    if level is None:
        msg = f"PLASTIQ_LOG must be one of {', '.join(_LEVELS)}"
        raise ConfigurationError(msg)
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logger.addHandler(handler)


def log_attempt(
    call: Call, outcome: int | str, elapsed: float, response: httpx.Response | None
) -> None:
    """Write the line about one attempt, at DEBUG.

    Args:
        call: The call it belongs to.
        outcome: The status, or the name of the error where there is none.
        elapsed: Its duration in seconds.
        response: The answer, if there is one.
    """
    headers = {} if response is None else response.headers
    shown = [f" {name}={headers[name]!r}" for name in _SHOWN_HEADERS if name in headers]
    logger.debug(
        "%s %s -> %s attempt=%d elapsed=%.3fs trace_id=%s%s",
        call.operation.method,
        call.operation.path,
        outcome,
        call.attempts,
        elapsed,
        call.trace_id,
        "".join(shown),
    )
