"""The check of `extra_headers`, the headers that a caller adds to one call."""

from collections.abc import Mapping

from plastiq_async._validate import check_header_value, is_token
from plastiq_async.errors import InvalidArgumentError

# What the session sends itself, or has an argument for.
_OURS = {
    "accept",
    "accept-encoding",
    "authorization",
    "content-type",
    "end-user-device-id",
    "end-user-ip",
    "idempotency-key",
    "trace-id",
    "user-agent",
}
# What tells servers and proxies where a message ends or goes, and what its body is.
_FRAMING = {
    "connection",
    "content-encoding",
    "content-length",
    "expect",
    "host",
    "http2-settings",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",  # codespell:ignore te
    "trailer",
    "transfer-encoding",
    "upgrade",
}
_RESERVED = frozenset(_OURS | _FRAMING)


def check_extra_headers(headers: object) -> tuple[tuple[bytes, bytes], ...]:
    """Return the names and values of `headers` as they are sent, or raise.

    No error contains a value.
    """
    if not isinstance(headers, Mapping):
        raise InvalidArgumentError("extra_headers must be a mapping of names to values")
    checked: dict[str, tuple[bytes, bytes]] = {}
    for name, value in headers.items():
        if not is_token(name):
            msg = "a name in extra_headers must be a token (RFC 9110, section 5.6.2)"
            raise InvalidArgumentError(msg)
        # Gateways of CGI and WSGI read an underscore as a hyphen.
        folded = name.lower().replace("_", "-")
        if folded in _RESERVED:
            msg = f"extra_headers must not have {folded}, which the session controls"
            raise InvalidArgumentError(msg)
        if folded in checked:
            raise InvalidArgumentError(f"extra_headers must have {folded} only once")
        check_header_value(f"{folded} in extra_headers", value)
        # The methods of str are named because enums override them.
        checked[folded] = str.encode(name), str.encode(value)
    return tuple(checked.values())
