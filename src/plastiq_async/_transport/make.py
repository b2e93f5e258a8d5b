"""`make_transport`: the transport of a session, chosen and built from its settings."""

import functools
import ssl
from typing import Literal

import httpx

from plastiq_async._missing import explain_missing
from plastiq_async._transport.bounded import BoundedTransport, UserTransport
from plastiq_async._transport.proxies import address_of, choose_proxy
from plastiq_async._transport.settings import (
    KEEP_ALIVE,
    SOCKET_OPTIONS,
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
    http_hosts: frozenset[str],
    trust_env: bool,
    max_connections: int,
) -> BoundedTransport:
    """Return the transport of a session."""
    if isinstance(transport, httpx.AsyncBaseTransport):
        if proxy is not None or verify is not True:
            msg = "transport must be a built-in one if proxy or verify is set"
            raise ConfigurationError(msg)
        return BoundedTransport(UserTransport(transport))
    if not isinstance(transport, str) or transport not in {"httpx", "aiohttp"}:
        msg = 'transport must be "httpx", "aiohttp" or an httpx.AsyncBaseTransport'
        raise ConfigurationError(msg)
    context = make_ssl_context(verify, trust_env=trust_env)
    chosen = choose_proxy(
        proxy,
        base_url,
        transport=transport,
        context=context,
        http_hosts=http_hosts,
        trust_env=trust_env,
    )
    proxy_address = None if chosen is None else address_of(chosen.url)
    if transport == "aiohttp":
        try:
            from plastiq_async._transport.aiohttp import (  # noqa: PLC0415 -- an extra
                AiohttpTransport,
            )
        except ModuleNotFoundError as error:
            package, needed_by = "'plastiq-async[aiohttp]'", 'transport="aiohttp"'
            raise explain_missing(error, "aiohttp", package, needed_by) from None
        return BoundedTransport(
            AiohttpTransport(context, chosen, max_connections), proxy_address
        )
    make_slot = functools.partial(
        httpx.AsyncHTTPTransport,
        verify=context,
        proxy=chosen,
        limits=httpx.Limits(max_connections=1, keepalive_expiry=KEEP_ALIVE),
        socket_options=SOCKET_OPTIONS,
    )
    return BoundedTransport(SlotTransport(make_slot(), make_slot), proxy_address)
