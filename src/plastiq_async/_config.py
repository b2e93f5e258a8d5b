"""What a session is made with: arguments and environment to one checked value."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Literal
from urllib.parse import SplitResult, urlsplit

import attrs

from plastiq_async._auth import check_token
from plastiq_async._validate import is_count, is_duration, is_header_value
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from plastiq_async._auth import TokenProvider

Environment = Literal["sandbox", "production"]
"""The vendor's two servers, with separate keys."""

_SERVERS = {
    "sandbox": "https://connect.sandbox.plastiq.com/api",
    "production": "https://connect.plastiq.com/api",
}

# With a path after it, httpx takes no more than 65,536, and says so at each call.
_LONGEST_URL = 2000


@attrs.frozen(kw_only=True)
class Config:
    """A session's checked settings.

    Attributes:
        access_token: The token or the provider of it.
        base_url: The server's address, without a slash at its end.
        timeout: The deadline of a call, in seconds.
        max_retries: How many attempts may follow a call's first.
        max_connections: How many calls may be under way at once.
    """

    access_token: str | TokenProvider = attrs.field(repr=False)
    base_url: str
    timeout: float
    max_retries: int
    max_connections: int


def load_config(
    *,
    access_token: str | TokenProvider | None,
    environment: Environment | None,
    base_url: str | None,
    timeout: float,
    max_retries: int,
    max_connections: int,
) -> Config:
    """Return the checked settings; what is None comes from the environment.

    Raises:
        ConfigurationError: A setting is missing or not usable; the error names it.
    """
    return Config(
        access_token=_access_token(access_token),
        base_url=_base_url(base_url, environment),
        timeout=check_timeout(timeout),
        max_retries=check_max_retries(max_retries),
        max_connections=_check_count("max_connections", max_connections, least=1),
    )


def check_timeout(value: float) -> float:
    """Return `value` if it can be a session's timeout, in seconds.

    Raises:
        ConfigurationError: It is not a positive, finite number.
    """
    if not is_duration(value):
        msg = "timeout must be a positive, finite number of seconds"
        raise ConfigurationError(msg)
    return value


def check_max_retries(value: int) -> int:
    """Return `value` if it can be a session's number of retries.

    Raises:
        ConfigurationError: It is not an integer of 0 or more.
    """
    return _check_count("max_retries", value, least=0)


def _check_count(name: str, value: int, *, least: int) -> int:
    if not is_count(value, least=least):
        msg = f"{name} must be an integer of {least} or more"
        raise ConfigurationError(msg)
    return value


def _access_token(value: str | TokenProvider | None) -> str | TokenProvider:
    if callable(value):
        return value
    if value is not None:
        return check_token("access_token", value)
    if inherited := os.environ.get("PLASTIQ_ACCESS_TOKEN"):
        return check_token("PLASTIQ_ACCESS_TOKEN", inherited)
    msg = "no access token: pass access_token or set PLASTIQ_ACCESS_TOKEN"
    raise ConfigurationError(msg)


def _base_url(base_url: str | None, environment: str | None) -> str:
    if base_url is not None:
        return _check_url("base_url", base_url)
    if environment is not None:
        return _server("environment", environment)
    if inherited := os.environ.get("PLASTIQ_BASE_URL"):
        return _check_url("PLASTIQ_BASE_URL", inherited)
    if inherited := os.environ.get("PLASTIQ_ENVIRONMENT"):
        return _server("PLASTIQ_ENVIRONMENT", inherited)
    return _SERVERS["sandbox"]


def _server(name: str, environment: object) -> str:
    server = _SERVERS.get(environment) if isinstance(environment, str) else None
    if server is None:
        msg = f"{name} must be one of {', '.join(_SERVERS)}"
        raise ConfigurationError(msg)
    return server


def _check_url(name: str, url: object) -> str:
    """Return `url` without a slash at its end."""
    # is_header_value: the host goes into a header, and urlsplit drops line breaks.
    if not is_header_value(url) or " " in url or len(url) > _LONGEST_URL:
        msg = f"{name} must be a URL in printable ASCII, {_LONGEST_URL} long at most"
        raise ConfigurationError(msg)
    try:
        parts = urlsplit(url)
        host = None if parts.port == 0 else parts.hostname
        # As event loops do to connect, where not all of them expect it to fail.
        (host or "").encode("idna")
        if "[" in parts.netloc:
            ip_address(host or "")  # before 3.11.4, urlsplit takes anything
    except ValueError:  # the brackets, or the port
        parts, host = SplitResult("", "", "", "", ""), None
    if not host or parts.scheme not in {"http", "https"}:
        msg = f"{name} must be an absolute URL of http or https"
    elif parts.username is not None or "?" in url or "#" in url:
        msg = f"{name} must have no user name, password, query or fragment"
    elif parts.scheme == "http" and not _is_loopback(host):
        msg = f"{name} must be a URL of https: http is for loopback hosts only"
    else:
        return url.rstrip("/")
    raise ConfigurationError(msg)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
