"""Log of attempts and retries, and redaction of other libraries' logs; no secrets."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, TextIO

from plastiq_async._call import Call, current_call
from plastiq_async._request import OperationURL
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    import httpx

logger = logging.getLogger("plastiq_async")
retry_logger = logging.getLogger("plastiq_async.retries")
# Silent unless logging is configured. The parent has no such handler, because Python
# writes its warnings to stderr then, and those are not to be missed.
retry_logger.addHandler(logging.NullHandler())

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO}
# Begins the name of what is retried, which stamina shows its instrumentation.
RETRIED_PREFIX = "plastiq_async."
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


def _hide_ids(record: logging.LogRecord) -> bool:
    """Replace the URL of one of our calls by its template, which holds no IDs."""
    if isinstance(record.args, tuple):
        record.args = tuple(
            arg.template if isinstance(arg, OperationURL) else arg
            for arg in record.args
        )
    return True


def _drop_our_retries(record: logging.LogRecord) -> bool:
    """Drop what stamina logs of our retries, since `log_retry` says more."""
    name = getattr(record, "stamina.callable", None)
    return not (isinstance(name, str) and name.startswith(RETRIED_PREFIX))


class _StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to stderr the records that no other handler takes.

    Both are looked up for each record: the application may configure logging after it
    has made a session, and pytest replaces `sys.stderr` for each test.
    """

    def __init__(self) -> None:
        logging.Handler.__init__(self)
        self.setFormatter(logging.Formatter("%(asctime)s %(name)s %(message)s"))
        self.addFilter(self._is_taken_by_no_other)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]  # an attribute there
        return sys.stderr

    def _is_taken_by_no_other(self, record: logging.LogRecord) -> bool:
        return not any(
            record.levelno >= handler.level
            for handler in _handlers_for(record.name)
            if handler is not self and not isinstance(handler, logging.NullHandler)
        )


def _handlers_for(name: str) -> Iterator[logging.Handler]:
    """Yield the handlers of the logger called `name`, as it propagates."""
    current: logging.Logger | None = logging.getLogger(name)
    while current:
        yield from current.handlers
        current = current.parent if current.propagate else None


_stderr_handler = _StderrHandler()


def set_up_logging() -> None:
    """Filter other libraries' logs, and log to stderr if ``PLASTIQ_LOG`` is set."""
    for name in ("http11", "socks"):
        logging.getLogger(f"httpcore.{name}").addFilter(_redact)
    logging.getLogger("httpx").addFilter(_hide_ids)
    logging.getLogger("stamina").addFilter(_drop_our_retries)
    level_name = os.environ.get("PLASTIQ_LOG")
    if not level_name:
        return
    level = _LEVELS.get(level_name.lower())
    if level is None:
        raise ConfigurationError(f"PLASTIQ_LOG must be one of {', '.join(_LEVELS)}")
    logger.setLevel(level)
    logger.addHandler(_stderr_handler)  # only once, however often it is called


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


def log_retry(call: Call, error: Exception, wait: float) -> None:
    """Log a retry, at WARNING as urllib3 and stamina do.

    The text of `error` names the method, the path, the attempt and the trace ID.
    """
    retry_logger.warning(
        "%s: retrying in %.2f s after %s", call.operation.name, wait, error
    )


def log_unknown_outcome(call: Call) -> None:
    """Warn that a call was cancelled, or ended by a hook, after its request was sent.

    Neither a cancellation nor an exception of a hook can carry what is needed to find
    out what happened.
    """
    logger.warning(
        "%s ended early, and its outcome is unknown: idempotency_key=%s trace_id=%s",
        call.operation.name,
        call.operation.idempotency_key,
        call.trace_id,
    )
