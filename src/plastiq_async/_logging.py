"""What is logged, and nothing else: one line per attempt, without any secret."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

    from plastiq_async._call import Call

logger = logging.getLogger("plastiq_async")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
# By allow list: a header that is added tomorrow may hold a secret.
_SHOWN_HEADERS = ("content-type", "retry-after")


def _unquote(record: logging.LogRecord) -> bool:
    """Cut out of a record what h11 quotes of the wire: perhaps another's secret."""
    if isinstance(record.msg, str) and "bytearray(" in record.msg:
        record.msg = record.msg.partition("bytearray(")[0] + "(not shown)"
    return True


def set_up_logging() -> None:
    """Write this library's log to stderr if ``PLASTIQ_LOG`` says so.

    And make sure, whatever it says, that httpcore's own log quotes no answers.

    Raises:
        ConfigurationError: It is set to something else than ``debug`` or ``info``.
    """
    logging.getLogger("httpcore.http11").addFilter(_unquote)
    wanted = os.environ.get("PLASTIQ_LOG")
    if not wanted:
        return
    try:
        level = _LEVELS[wanted.lower()]
    except KeyError:
        msg = f"PLASTIQ_LOG must be one of {', '.join(_LEVELS)}"
        raise ConfigurationError(msg) from None
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
