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

from plastiq_async._transport.slots import KEEP_ALIVE, SlotTransport
from plastiq_async.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Callable

TransportName = Literal["httpx", "aiohttp"]
"""The built-in transports."""

T = TypeVar("T")

# NAT gateways drop idle connections silently after minutes: probe after 60 seconds.
# The options' names differ by platform; macOS calls the first TCP_KEEPALIVE.
_SOCKET_OPTIONS = [
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
    verify_trace_id: bool,
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
        verify_trace_id: Whether a connection is to be given up after an answer without
            the request's trace ID.

    Raises:
        ConfigurationError: A setting is not usable; the error names it.
    """
    if isinstance(transport, httpx.AsyncBaseTransport):
        if proxy is not None or verify is not True:
            msg = "transport: a ready-made one cannot go with proxy or verify"
            raise ConfigurationError(msg)
        return transport
    if not isinstance(transport, str) or transport not in {"httpx", "aiohttp"}:
        msg = 'transport must be "httpx", "aiohttp" or an httpx.AsyncBaseTransport'
        raise ConfigurationError(msg)
    context = _ssl_context(verify, trust_env=trust_env)
    setting, url = _choose_proxy(proxy, base_url, trust_env=trust_env)
    chosen = (
        url
        if url is None
        else _configured(setting, lambda: _check_proxy(url, transport))
    )
    if transport == "aiohttp":
        return _make_aiohttp_pool(
            context, chosen, max_connections, verify_trace_id=verify_trace_id
        )

    def make_slot() -> httpx.AsyncBaseTransport:
        return httpx.AsyncHTTPTransport(
            verify=context,
            proxy=chosen,
            limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE),
            socket_options=_SOCKET_OPTIONS,
        )

    first = _configured(setting, make_slot)
    return SlotTransport(first, make_slot, verify_trace_id=verify_trace_id)


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

        def from_environment() -> ssl.SSLContext:
            # OpenSSL takes several folders, and does not look whether there are any.
            folders = os.environ.get("SSL_CERT_DIR", "").split(os.pathsep)
            if (
                verify
                and setting == "SSL_CERT_DIR"
                and not any(Path(folder).is_dir() for folder in folders)
            ):
                raise NotADirectoryError
            return httpx.create_ssl_context(verify=verify, trust_env=trust_env)

        return _configured(setting, from_environment)

    def from_path() -> ssl.SSLContext:
        if not verify:
            raise ValueError  # to OpenSSL, no path: the usual authorities stay in force
        if Path(verify).is_dir():
            return ssl.create_default_context(capath=verify)
        return ssl.create_default_context(cafile=verify)

    return _configured("verify", from_path)


def _choose_proxy(
    proxy: str | httpx.Proxy | None, base_url: str, *, trust_env: bool
) -> tuple[str, str | httpx.Proxy | None]:
    """Return the proxy to use for `base_url`, after the setting that names it."""
    parts = urlsplit(base_url)
    if proxy is not None or not trust_env or proxy_bypass(parts.netloc):
        return "proxy", proxy
    proxies = getproxies()
    kind = parts.scheme if proxies.get(parts.scheme) else "all"
    url = proxies.get(kind) or None
    if url and "://" not in url:
        url = f"http://{url}"
    return f"{kind.upper()}_PROXY", url


def _check_proxy(proxy: str | httpx.Proxy, transport: object) -> httpx.Proxy:
    checked = proxy if isinstance(proxy, httpx.Proxy) else httpx.Proxy(proxy)
    url = checked.url
    port = 1 if url.port is None else url.port
    # aiohttp would speak HTTP with whatever proxy it is given.
    unknown = transport == "aiohttp" and url.scheme not in {"http", "https"}
    # A host that no event loop can encode is a ValueError, too.
    if unknown or not url.host.encode("idna") or not 0 < port < 1 << 16:
        raise ValueError
    return checked


def _make_aiohttp_pool(
    context: ssl.SSLContext,
    proxy: httpx.Proxy | None,
    max_connections: int,
    *,
    verify_trace_id: bool,
) -> httpx.AsyncBaseTransport:
    try:
        from plastiq_async._transport.aiohttp import AiohttpPool  # noqa: PLC0415 -- an extra
    except ModuleNotFoundError:
        msg = (
            'transport="aiohttp" needs an extra that is not installed: '
            "pip install 'plastiq-async[aiohttp]'"
        )
        raise ConfigurationError(msg) from None
    return AiohttpPool(
        context=context,
        proxy=proxy,
        max_connections=max_connections,
        keep_alive=KEEP_ALIVE,
        socket_options=_SOCKET_OPTIONS,
        verify_trace_id=verify_trace_id,
    )
