"""Settings of a session, from arguments and environment variables."""

import os
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from plastiq_async._auth import TokenProvider, check_token
from plastiq_async._hosts import allows_http, canonical_host
from plastiq_async._secrets import hide
from plastiq_async._validate import is_count, is_duration, is_header_value
from plastiq_async.errors import ConfigurationError

Environment = Literal["sandbox", "production"]
"""Plastiq's environments of the API, with separate access tokens."""

_BASE_URLS = {
    "sandbox": "https://connect.sandbox.plastiq.com/api",
    "production": "https://connect.plastiq.com/api",
}

# httpx rejects URLs longer than 65,536 characters only when a request is built.
_MAX_URL_LENGTH = 2000


def check_timeout(value: float, *, name: str = "timeout") -> float:
    """Return `value` if it is a valid timeout of a session, in seconds."""
    if not is_duration(value):
        msg = f"{name} must be a positive, finite number of seconds"
        raise ConfigurationError(msg)
    return value


def check_max_retries(value: int) -> int:
    """Return `value` if it is a valid number of retries."""
    return check_count("max_retries", value, least=0)


def check_count(name: str, value: int, *, least: int) -> int:
    """Return `value` if it is an integer of `least` or more."""
    if not is_count(value, least=least):
        raise ConfigurationError(f"{name} must be an integer of {least} or more")
    return value


def resolve_access_token(value: str | TokenProvider | None) -> str | TokenProvider:
    """Return the access token or its provider, by default from the environment."""
    if callable(value):
        return value
    if value is not None:
        return check_token("access_token", value)
    if from_env := hide(os.environ.get("PLASTIQ_ACCESS_TOKEN")):
        return check_token("PLASTIQ_ACCESS_TOKEN", from_env)
    msg = "no access token: pass access_token or set PLASTIQ_ACCESS_TOKEN"
    raise ConfigurationError(msg)


def check_http_hosts(value: object) -> frozenset[str]:
    """Return the canonical names of the hosts in the iterable `value`."""
    # The characters of a string would be host names, too.
    entries = value if not isinstance(value, str) else None
    hosts = set()
    for entry in entries if isinstance(entries, Iterable) else [None]:
        host = canonical_host(entry) if isinstance(entry, str) else None
        if host is None:
            msg = (
                "allow_http_hosts must be an iterable of host names or IP addresses, "
                "without scheme, port or wildcard"
            )
            raise ConfigurationError(msg)
        hosts.add(host)
    return frozenset(hosts)


def resolve_base_url(
    base_url: str | None, environment: str | None, http_hosts: frozenset[str]
) -> str:
    """Return the API base URL, without a trailing slash.

    It may be a URL of http if its host is loopback or one of `http_hosts`.
    """
    if base_url is not None:
        return _check_url("base_url", base_url, http_hosts)
    if environment is not None:
        return _environment_url("environment", environment)
    if from_env := os.environ.get("PLASTIQ_BASE_URL"):
        return _check_url("PLASTIQ_BASE_URL", from_env, http_hosts)
    if from_env := os.environ.get("PLASTIQ_ENVIRONMENT"):
        return _environment_url("PLASTIQ_ENVIRONMENT", from_env)
    return _BASE_URLS["sandbox"]


def _environment_url(name: str, environment: object) -> str:
    """Return the base URL of `environment`, which the setting `name` contains."""
    if not isinstance(environment, str) or environment not in _BASE_URLS:
        raise ConfigurationError(f"{name} must be one of {', '.join(_BASE_URLS)}")
    return _BASE_URLS[environment]


def _check_url(name: str, url: object, http_hosts: frozenset[str]) -> str:
    """Return `url` without a trailing slash, or raise if it is not usable."""
    # urlsplit removes line breaks, and the host is sent in a header.
    if not is_header_value(url) or " " in url or len(url) > _MAX_URL_LENGTH:
        msg = f"{name} must be a URL in printable ASCII, {_MAX_URL_LENGTH} long at most"
        raise ConfigurationError(msg)
    try:
        parts = urlsplit(url)
        host = None if parts.port == 0 else parts.hostname
        # Event loops do this to connect, and not all of them handle a failure.
        (host or "").encode("idna")
        if "[" in parts.netloc:
            ip_address(host or "")  # before 3.11.4, urlsplit does not check it
    except ValueError:
        parts, host = SplitResult("", "", "", "", ""), None
    if not host or parts.scheme not in {"http", "https"}:
        msg = (
            f"{name} must be an absolute URL of http or https, with a valid host and a "
            "port, if any, between 1 and 65535"
        )
    elif parts.username is not None or "?" in url or "#" in url:
        msg = f"{name} must have no user name, password, query or fragment"
    elif parts.scheme == "http" and not allows_http(host, http_hosts):
        msg = f"{name} must be a URL of https: http is for loopback hosts only"
    else:
        return url.rstrip("/")
    raise ConfigurationError(msg)
