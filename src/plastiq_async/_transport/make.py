"""`make_transports`: the transports of a session, built from its settings."""

import functools
import ssl
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Literal, Protocol

import attrs
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


class Transports(Protocol):
    """The transports of a session."""

    @property
    def http_hosts(self) -> frozenset[str]:
        """The hosts that may be used over http, besides loopback ones."""
        ...

    @property
    def api(self) -> BoundedTransport:
        """The transport to the API, which is closed with the session."""
        ...

    def open_for(self, url: str) -> AbstractAsyncContextManager[BoundedTransport]:
        """Return the context of a transport to the host of `url`, another one."""
        ...


@attrs.frozen(eq=False)
class UserTransports:
    """The user's own transport, which is used for all hosts."""

    api: BoundedTransport
    http_hosts: frozenset[str]

    def open_for(self, url: str) -> AbstractAsyncContextManager[BoundedTransport]:
        """Return the context of the same transport, which stays open."""
        del url  # a transport of the user's chooses its own proxies
        return nullcontext(self.api)


@attrs.frozen(kw_only=True, eq=False)
class BuiltInTransports:
    """A built-in transport to the API, and others by the same settings.

    Attributes:
        make: Makes a transport for a URL, with a maximum number of connections. All of
            them share the TLS context, but each has the proxy for its host.
    """

    api: BoundedTransport
    http_hosts: frozenset[str]
    make: Callable[[str, int], BoundedTransport] = attrs.field(repr=False)

    def open_for(self, url: str) -> AbstractAsyncContextManager[BoundedTransport]:
        """Return the context of a new transport with one connection.

        Raises:
            ConfigurationError: The proxy for this host is not usable.
        """
        return aclosing(self.make(url, 1))


def make_transports(
    transport: object,
    *,
    base_url: str,
    verify: bool | str | ssl.SSLContext,
    proxy: str | httpx.Proxy | None,
    http_hosts: frozenset[str],
    trust_env: bool,
    max_connections: int,
) -> Transports:
    """Return the transports of a session."""
    if isinstance(transport, httpx.AsyncBaseTransport):
        if proxy is not None or verify is not True:
            msg = "transport must be a built-in one if proxy or verify is set"
            raise ConfigurationError(msg)
        return UserTransports(BoundedTransport(UserTransport(transport)), http_hosts)
    if not isinstance(transport, str) or transport not in {"httpx", "aiohttp"}:
        msg = 'transport must be "httpx", "aiohttp" or an httpx.AsyncBaseTransport'
        raise ConfigurationError(msg)
    make = functools.partial(
        _make_built_in,
        name=transport,
        context=make_ssl_context(verify, trust_env=trust_env),
        proxy=proxy,
        http_hosts=http_hosts,
        trust_env=trust_env,
    )
    api = make(base_url, max_connections)
    return BuiltInTransports(api=api, http_hosts=http_hosts, make=make)


def _make_built_in(
    url: str,
    max_connections: int,
    *,
    name: str,
    context: ssl.SSLContext,
    proxy: str | httpx.Proxy | None,
    http_hosts: frozenset[str],
    trust_env: bool,
) -> BoundedTransport:
    """Return the built-in transport called `name` for the host of `url`."""
    chosen = choose_proxy(
        proxy,
        url,
        transport=name,
        context=context,
        http_hosts=http_hosts,
        trust_env=trust_env,
    )
    proxy_address = None if chosen is None else address_of(chosen.url)
    if name == "aiohttp":
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
