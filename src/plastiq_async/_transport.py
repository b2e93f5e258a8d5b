"""Which transport a session uses, and the TLS and proxy settings of it."""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

TransportName = Literal["httpx"]
T = TypeVar("T")

# NAT gateways drop idle connections silently after minutes: probe after 60 seconds.
# The options' names differ by platform; macOS calls the first TCP_KEEPALIVE.
_KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), 60)
        for name in ("TCP_KEEPIDLE", "TCP_KEEPALIVE", "TCP_KEEPINTVL")
        if hasattr(socket, name)
    ),
]


def make_transport(
    transport: object,
    *,
    base_url: str,
    verify: bool | str | ssl.SSLContext,
    proxy: str | httpx.Proxy | None,
    trust_env: bool,
    max_connections: int,
) -> httpx.AsyncBaseTransport:
    """Return the transport of a session.

    Args:
        transport: The name of a built-in one, or one ready made.
        base_url: The only server that it will be used for.
        verify: Whether to check the server's certificate; or the path of a file or
            folder of CA certificates; or a context of one's own.
        proxy: The proxy's URL; without it, the environment's if that is trusted.
        trust_env: Whether proxies and CA files come from environment variables.
        max_connections: How many connections it may keep.

    Raises:
        ConfigurationError: A setting is not usable; the error names it.
    """
    if isinstance(transport, httpx.AsyncBaseTransport):
        if proxy is not None or verify is not True:
            msg = "transport: a ready-made one cannot go with proxy or verify"
            raise ConfigurationError(msg)
        return transport
    if transport != "httpx":
        msg = 'transport must be "httpx" or an httpx.AsyncBaseTransport'
        raise ConfigurationError(msg)
    context = _ssl_context(verify, trust_env=trust_env)
    chosen = _proxy(proxy, base_url, trust_env=trust_env)
    limits = httpx.Limits(
        max_connections=max_connections, max_keepalive_connections=max_connections
    )
    return _configured(
        "proxy",
        lambda: httpx.AsyncHTTPTransport(
            verify=context, proxy=chosen, limits=limits, socket_options=_KEEP_ALIVE
        ),
    )


def _configured(setting: str, make: Callable[[], T]) -> T:
    """Return what `make` makes of `setting`, whose value no error must repeat."""
    try:
        return make()
    except (OSError, ValueError, TypeError, ImportError, httpx.InvalidURL) as error:
        problem = type(error).__name__
        reason = error.strerror if isinstance(error, OSError) else None
    msg = f"{setting} is not usable: {problem}" + (f", {reason}" if reason else "")
    raise ConfigurationError(msg)


def _ssl_context(
    verify: bool | str | ssl.SSLContext, *, trust_env: bool
) -> ssl.SSLContext:
    if isinstance(verify, ssl.SSLContext):
        return verify
    if isinstance(verify, bool):
        # The variables that httpx reads, the first that is set.
        variables = ("SSL_CERT_FILE", "SSL_CERT_DIR") if trust_env else ()
        setting = next((name for name in variables if os.environ.get(name)), "verify")
        return _configured(
            setting,
            lambda: httpx.create_ssl_context(verify=verify, trust_env=trust_env),
        )

    def from_path() -> ssl.SSLContext:
        path = Path(verify)
        context = ssl.create_default_context(cafile=None if path.is_dir() else path)
        if path.is_dir():
            context.load_verify_locations(capath=path)
        return context

    return _configured("verify", from_path)


def _proxy(
    proxy: str | httpx.Proxy | None, base_url: str, *, trust_env: bool
) -> httpx.Proxy | None:
    """Return the proxy for `base_url`, an explicit one before the environment's."""
    setting = "proxy"
    if proxy is None:
        parts = urlsplit(base_url)
        proxies = getproxies() if trust_env else {}
        kind = next((kind for kind in (parts.scheme, "all") if proxies.get(kind)), None)
        if kind is None or proxy_bypass(parts.netloc):
            return None
        setting = f"{kind.upper()}_PROXY"
        proxy = proxies[kind] if "://" in proxies[kind] else f"http://{proxies[kind]}"
    if isinstance(proxy, httpx.Proxy):
        return proxy
    return _configured(setting, lambda: httpx.Proxy(proxy))
