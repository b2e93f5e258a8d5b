"""`make_transport`: the transport of a session, chosen and built from its settings."""

import functools
import ssl
from typing import Literal

import httpx

from plastiq_async._transport.bounded import UserTransport
from plastiq_async._transport.settings import (
    KEEP_ALIVE,
    SOCKET_OPTIONS,
    apply_setting,
    choose_proxy,
    make_ssl_context,
)
from plastiq_async._transport.slots import SlotTransport
from plastiq_async.errors import ConfigurationError

TransportName = Literal["httpx", "aiohttp"]
"""The built-in transports."""


def make_transport(
    transport: object,
    *,
    base_url: str,
    verify: bool | str | ssl.SSLContext,
    proxy: str | httpx.Proxy | None,
    trust_env: bool,
    max_connections: int,
) -> httpx.AsyncBaseTransport:
    """Return the transport of a session."""
    if isinstance(transport, httpx.AsyncBaseTransport):
        if proxy is not None or verify is not True:
            msg = "transport must be a built-in one if proxy or verify is set"
            raise ConfigurationError(msg)
        return UserTransport(transport)
    if not isinstance(transport, str) or transport not in {"httpx", "aiohttp"}:
        msg = 'transport must be "httpx", "aiohttp" or an httpx.AsyncBaseTransport'
        raise ConfigurationError(msg)
    context = make_ssl_context(verify, trust_env=trust_env)
    # aiohttp speaks HTTP to every proxy, whatever the scheme of its URL.
    http_only = transport == "aiohttp"
    proxy_setting, chosen_proxy = choose_proxy(
        proxy, base_url, trust_env=trust_env, http_only=http_only
    )
    if transport == "aiohttp":
        try:
            from plastiq_async._transport.aiohttp import (  # noqa: PLC0415 -- an extra
                AiohttpTransport,
            )
        except ModuleNotFoundError:
            msg = (
                'transport="aiohttp" needs an extra that is not installed: '
                "pip install 'plastiq-async[aiohttp]'"
            )
            raise ConfigurationError(msg) from None
        return AiohttpTransport(context, chosen_proxy, max_connections)
    make_slot = functools.partial(
        httpx.AsyncHTTPTransport,
        verify=context,
        proxy=chosen_proxy,
        limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE),
        socket_options=SOCKET_OPTIONS,
    )
    # A SOCKS proxy needs a package that may be missing.
    return SlotTransport(apply_setting(proxy_setting, make_slot), make_slot)
