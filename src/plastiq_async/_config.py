"""Settings of a session, from arguments and environment variables."""

import os
from collections.abc import Iterable
from typing import Literal, cast

from plastiq_async._auth import TokenProvider, check_token
from plastiq_async._hosts import canonical_host, find_url_problem
from plastiq_async._secrets import hide
from plastiq_async._validate import is_count, is_duration
from plastiq_async.errors import ConfigurationError

Environment = Literal["sandbox", "production"]
"""Plastiq's environments of the API, with separate access tokens."""

_BASE_URLS = {
    "sandbox": "https://connect.sandbox.plastiq.com/api",
    "production": "https://connect.plastiq.com/api",
}


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
    if problem := find_url_problem(url, http_hosts):
        raise ConfigurationError(f"{name} {problem}")
    return cast("str", url).rstrip("/")
