"""`connection_error`: this library's error for a transport's exception.

No text comes from the server or the proxy, since it may be the secret of another call's
response.
"""

import os
import re
from collections.abc import Iterator

import httpx

from plastiq_async._protocol import REASONS, TRANSIENT, printable
from plastiq_async._transport.proxies import address_of
from plastiq_async._transport.trace_check import ForeignResponseError
from plastiq_async.errors import APIConnectionError

# The texts of httpcore and h11 that quote nothing.
_HARMLESS = re.compile(
    r"Server disconnected without sending a response|"
    r"peer closed connection without sending complete message body"
)
# How asyncio and trio hide the reason between the error number and the address.
_CONNECT_FAILED = re.compile(
    r"\[Errno (\d+)\] (?:Connect call failed \([^)]*\)|Error connecting to .*)"
)
_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")
# How httpcore says that a SOCKS proxy does not accept the credentials.
_SOCKS_REFUSAL = re.compile(r"Requested |Invalid username/password")


def connection_error(
    error: Exception, url: httpx.URL, proxy: str | None
) -> tuple[APIConnectionError, Exception | None]:
    """Return our error for an exception of a transport, and the cause to attach.

    Args:
        error: The exception.
        url: The URL of the request.
        proxy: Host and port of the proxy, if there is one.
    """
    name = type(error).__name__
    cause: Exception | None = None
    transient = True
    if isinstance(error, ForeignResponseError):
        problem = str(error)
    elif isinstance(error, httpx.ProtocolError):
        harmless = _HARMLESS.match(str(error))
        problem = f"{name}: {harmless[0]}" if harmless else f"no valid HTTP ({name})"
    elif isinstance(error, httpx.ProxyError):
        reason, transient = _refusal(str(error))
        problem = f"{name}: {reason}"
    else:
        problem = f"{name}: {reason_of(error) or _default_reason(error)}"
        cause = error
    where = address_of(url) if proxy is None else f"{address_of(url)}, proxy {proxy}"
    failure = APIConnectionError(f"{problem} ({where})")
    failure.transient = transient
    return failure, cause


def reason_of(error: BaseException) -> str:
    """Return why a connection failed, as one line; empty if nothing is known.

    That is the text of the innermost `OSError`, or of each if several addresses were
    tried; else the first text in the chain of causes.
    """
    reasons = list(_os_reasons(error))
    link: BaseException | None = error
    while link is not None and not reasons:
        reasons = [text] if (text := str(link)) else []
        link = _cause_of(link)
    return printable(", ".join(dict.fromkeys(reasons)))


def _os_reasons(error: BaseException) -> Iterator[str]:
    """Yield the texts of the innermost `OSError`s behind `error`."""
    cause = _cause_of(error)
    behind = error.exceptions if isinstance(error, BaseExceptionGroup) else [cause]
    inner = [text for one in behind if one is not None for text in _os_reasons(one)]
    if inner or not isinstance(error, OSError):
        yield from inner
        return
    text = _CONNECT_FAILED.sub(lambda match: os.strerror(int(match[1])), str(error))
    if text := _ERROR_NUMBER.sub("", text):
        yield text


def _cause_of(error: BaseException) -> BaseException | None:
    """Return the cause of `error`, also if httpcore has hidden it with ``from None``.

    Other contexts may be errors that the caller is handling.
    """
    hidden = error.__context__ if error.__suppress_context__ else None
    return error.__cause__ or hidden


def _default_reason(error: Exception) -> str:
    timed_out = isinstance(error, httpx.TimeoutException)
    return "timed out" if timed_out else "no reason given"


def _refusal(text: str) -> tuple[str, bool]:
    """Return why a proxy opened no connection, and whether that may pass.

    Args:
        text: The text of the exception. After a status code comes the proxy's text.
    """
    if status := re.match(r"\d{3}\b", text):
        code = int(status[0])
        return f"{code} {REASONS.get(code, '')}".strip(), code in TRANSIENT
    return printable(text), not _SOCKS_REFUSAL.match(text)
