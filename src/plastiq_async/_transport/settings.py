"""TLS context and proxy of a transport, from its settings and the environment."""

import os
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from plastiq_async.errors import ConfigurationError

T = TypeVar("T")

# Shorter than the 60 seconds after which many load balancers close idle connections.
KEEP_ALIVE = 55.0

# NAT gateways drop idle connections silently after minutes, so probe after 60 seconds.
# The options' names differ by platform; macOS calls the first TCP_KEEPALIVE.
SOCKET_OPTIONS = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), 60)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL")
        if hasattr(socket, name)
    ),
]
_MAX_PORT = 65_535


def apply_setting(name: str, make: Callable[[], T]) -> T:
    """Return `make()`, where `make` uses the value of the setting `name`.

    The value may hold a password, so the error does not show it, and has neither cause
    nor context.
    """
    try:
        return make()
    except (OSError, ValueError, TypeError, ImportError, httpx.InvalidURL) as error:
        problem = type(error).__name__
        reason = error.strerror if isinstance(error, OSError) else None
    # Raised outside of the handler, so that the error has no context.
    msg = f"{name} is not usable: {problem}" + (f", {reason}" if reason else "")
    raise ConfigurationError(msg)


def make_ssl_context(
    verify: bool | str | ssl.SSLContext, *, trust_env: bool
) -> ssl.SSLContext:
    """Return the TLS context for `verify`."""
    if isinstance(verify, ssl.SSLContext):
        return verify
    if not isinstance(verify, bool):
        return apply_setting("verify", lambda: _load_certificates(verify))
    # httpx reads the first of these variables that is set.
    variables = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
    name = next((name for name in variables if os.environ.get(name)), "verify")

    def make_default_context() -> ssl.SSLContext:
        if verify and name == "SSL_CERT_DIR":
            # OpenSSL does not check whether they exist.
            paths = os.environ[name].split(os.pathsep)
            if not any(Path(path).is_dir() for path in paths):
                raise NotADirectoryError
        return httpx.create_ssl_context(verify=verify, trust_env=trust_env)

    return apply_setting(name, make_default_context)


def _load_certificates(path: str) -> ssl.SSLContext:
    """Return a context that trusts only the CA certificates at `path`."""
    if not path:
        raise ValueError  # given an empty path, OpenSSL trusts its default authorities
    if Path(path).is_dir():
        return ssl.create_default_context(capath=path)
    return ssl.create_default_context(cafile=path)


def choose_proxy(
    proxy: str | httpx.Proxy | None, base_url: str, *, trust_env: bool, http_only: bool
) -> tuple[str, httpx.Proxy | None]:
    """Return the name of the setting in force, and its proxy or None."""
    name = "proxy"
    parts = urlsplit(base_url)
    if proxy is None and trust_env and not proxy_bypass(parts.netloc):
        proxies = getproxies()
        kind = parts.scheme if proxies.get(parts.scheme) else "all"
        name = f"{kind.upper()}_PROXY"
        proxy = proxies.get(kind) or None
        if proxy and "://" not in proxy:
            proxy = f"http://{proxy}"
    if proxy is None:
        return name, None
    return name, apply_setting(name, partial(_check_proxy, proxy, http_only=http_only))


def _check_proxy(proxy: str | httpx.Proxy, *, http_only: bool) -> httpx.Proxy:
    """Return `proxy` as an `httpx.Proxy`, or raise if no connection to it can work."""
    checked = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    url = checked.url
    # encode() raises a ValueError if the host name is invalid.
    if (
        (http_only and url.scheme not in {"http", "https"})
        or not url.host.encode("idna")
        or not (url.port is None or 0 < url.port <= _MAX_PORT)
    ):
        raise ValueError
    return checked
