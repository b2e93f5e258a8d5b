"""Log of attempts, and redaction of httpcore's log; neither contains secrets."""

from __future__ import annotations

import logging
import os
import re
from typing import TYPE_CHECKING

from plastiq_async._call import Call, current_call
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("plastiq_async")

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
# An allow list, because a header that the API adds later may contain a secret.
_LOGGED_HEADERS = ("content-type", "retry-after")
# httpcore logs received bytes, response headers and the credentials of a SOCKS proxy.
# They may contain a client secret, the access token or a password.
_SENSITIVE = re.compile(
    r"(bytearray\(|return_value=\(b'HTTP/[0-9.]+', \d+, | auth=\()(?s:.*)"
)


def _redact(record: logging.LogRecord) -> bool:
    """Remove sensitive data from a record that was logged during one of our calls."""
    if current_call.get(None) and isinstance(record.msg, str):
        record.msg = _SENSITIVE.sub(r"\1(not shown)", record.msg)
    return True


def set_up_logging() -> None:
    """Redact httpcore's log, and log to stderr if ``PLASTIQ_LOG`` is set."""
    for name in ("http11", "socks"):
        logging.getLogger(f"httpcore.{name}").addFilter(_redact)
    level_name = os.environ.get("PLASTIQ_LOG")
    if not level_name:
        return
    level = _LEVELS.get(level_name.lower())
    if level is None:
        raise ConfigurationError(f"PLASTIQ_LOG must be one of {', '.join(_LEVELS)}")
    logger.setLevel(level)
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        logger.addHandler(handler)


def log_attempt(
    call: Call, outcome: int | str, elapsed: float, response: httpx.Response | None
) -> None:
    """Log one attempt, at DEBUG."""
    headers = {} if response is None else response.headers
    shown = [
        f" {name}={headers[name]!r}" for name in _LOGGED_HEADERS if name in headers
    ]
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


def log_unknown_outcome(call: Call) -> None:
    """Warn that a call was cancelled after its request was sent.

    A cancellation can carry none of what is needed to find out what happened.
    """
    logger.warning(
        "%s was cancelled, and its outcome is unknown: idempotency_key=%s trace_id=%s",
        call.operation.name,
        call.operation.idempotency_key,
        call.trace_id,
    )
