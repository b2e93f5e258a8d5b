"""The session: one way in and one way out for every call."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio
import httpx

from plastiq_async._attempt import Attempt, raise_for_status
from plastiq_async._auth import BearerAuth
from plastiq_async._call import Call
from plastiq_async._codec import api_converter
from plastiq_async._config import check_max_retries, check_timeout, load_config
from plastiq_async._logging import logger, set_up_logging
from plastiq_async._ownership import Connections
from plastiq_async._protocol import read_result
from plastiq_async._quota import RetryQuota
from plastiq_async._request import RequestBuilder
from plastiq_async._resources.client_secrets import ClientSecrets
from plastiq_async._retry import Retry
from plastiq_async._transport.bounded import BoundedTransport
from plastiq_async._transport.make import make_transport
from plastiq_async._validate import check_header
from plastiq_async._validate import check_timeout as check_call_timeout
from plastiq_async.errors import (
    APITimeoutError,
    ConfigurationError,
    PlastiqError,
    SessionStateError,
)
from plastiq_async.middleware import TraceId
from plastiq_async.models.common import ResponseInfo

if TYPE_CHECKING:
    import ssl
    from types import TracebackType
    from typing import Self

    from plastiq_async._auth import TokenProvider
    from plastiq_async._call import Operation, T
    from plastiq_async._config import Environment
    from plastiq_async._transport.make import TransportName
    from plastiq_async.middleware import Handler, Middleware

__all__ = ["PlastiqSession"]


class PlastiqSession:
    """A session with the Plastiq Connect API: connections, auth and settings.

    Make one per event loop and keep it; use it as an async context manager, or call
    `aclose` at the end. It may be made outside of an event loop. It works on asyncio
    and on trio.

    Args:
        access_token: The API key, or an async callable that returns it: asked at the
            first call, and once more after a 401. Without it, ``PLASTIQ_ACCESS_TOKEN``.
        environment: ``"sandbox"`` or ``"production"``.
        base_url: The server's address, before `environment`. Without both,
            ``PLASTIQ_BASE_URL``, then ``PLASTIQ_ENVIRONMENT``, then the sandbox.
            ``http://`` is for loopback hosts only.
        timeout: The deadline of a whole call in seconds, waits and retries included.
        max_retries: How many attempts may follow the first, 0 or more.
        max_connections: How many calls may be under way at once, 1 or more; the others
            wait, within their deadline.
        transport: ``"httpx"``; or ``"aiohttp"``, which is faster and for asyncio only
            (extra ``plastiq-async[aiohttp]``); or any `httpx.AsyncBaseTransport`,
            closed with the session.
        middleware: Your own, outermost first; see `plastiq_async.middleware`.
        verify: True to check the server's certificate; or the path of a file or folder
            of CA certificates; or an `ssl.SSLContext`; or False, for tests only.
        proxy: The URL of a proxy; without it, the one of the environment.
        trust_env: Whether proxies and CA files come from environment variables.
        verify_trace_id: Whether to refuse an answer that carries another call's trace
            ID. False is for people whose gateway rewrites the header.

    Raises:
        ConfigurationError: A setting is missing or not usable; the error names it.
    """

    def __init__(
        self,
        access_token: str | TokenProvider | None = None,
        *,
        environment: Environment | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        max_retries: int = 2,
        max_connections: int = 100,
        transport: TransportName | httpx.AsyncBaseTransport = "httpx",
        middleware: Iterable[Middleware] = (),
        verify: bool | str | ssl.SSLContext = True,
        proxy: str | httpx.Proxy | None = None,
        trust_env: bool = True,
        verify_trace_id: bool = True,
    ) -> None:
        set_up_logging()
        # Imported here and now rather than in somebody's event loop.
        api_converter()
        config = load_config(
            access_token=access_token,
            environment=environment,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            max_connections=max_connections,
        )
        bounded = BoundedTransport(
            make_transport(
                transport,
                base_url=config.base_url,
                verify=verify,
                proxy=proxy,
                trust_env=trust_env,
                max_connections=max_connections,
                verify_trace_id=verify_trace_id,
            ),
            verify_trace_id=verify_trace_id,
        )
        client = _Client(
            transport=bounded,
            auth=BearerAuth(config.access_token),
            # The transport has seen to the environment's settings.
            trust_env=False,
        )
        self._base_url = config.base_url
        self._timeout = config.timeout
        self._max_retries = config.max_retries
        self._connections = Connections(bounded, config.max_connections)
        retry = Retry(RetryQuota(config.max_connections))
        self._chain = _chain(Attempt(client), retry, middleware)
        self._build_request = RequestBuilder(config.base_url).build
        logger.info("session for %s", self._base_url)

    @property
    def client_secrets(self) -> ClientSecrets:
        """Client secrets: what a browser needs to tokenize a card."""
        return ClientSecrets(self._perform, self._connections.max_connections)

    def with_options(
        self, *, timeout: float | None = None, max_retries: int | None = None
    ) -> PlastiqSession:
        """Return a view on the same connections with other options.

        To close either is to close both.

        Args:
            timeout: The deadline of a whole call in seconds; None leaves it.
            max_retries: How many attempts may follow the first; None leaves it.

        Raises:
            ConfigurationError: An option is not usable.
        """
        view = copy.copy(self)
        if timeout is not None:
            view._timeout = check_timeout(timeout)  # noqa: SLF001 -- our own
        if max_retries is not None:
            view._max_retries = check_max_retries(max_retries)  # noqa: SLF001
        return view

    async def aclose(self) -> None:
        """Close the connections; calls under way end in a `SessionStateError`.

        Doing it twice is harmless.

        Raises:
            SessionStateError: The session belongs to another event loop or process.
        """
        await self._connections.aclose()

    async def __aenter__(self) -> Self:
        """Return the session itself."""
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close the connections."""
        await self.aclose()

    def __repr__(self) -> str:
        """Tell the server and whether the session is closed; never the token."""
        state = "closed" if self._connections.closed else "open"
        return f"<PlastiqSession {self._base_url} ({state})>"

    async def _perform(self, operation: Operation[T], within: float | None) -> T:
        """Perform `operation`: the way in and out of every call."""
        connections = self._connections
        connections.check_usable()
        seconds = self._timeout if within is None else check_call_timeout(within)
        call = Call(
            operation=operation,
            max_retries=self._max_retries,
            deadline=anyio.current_time() + seconds,
        )
        with anyio.CancelScope(deadline=call.deadline) as scope:
            connections.calls.add(scope)
            try:
                async with connections.permits:
                    return await self._exchange(operation, call)
            finally:
                connections.calls.discard(scope)
        error: PlastiqError = (
            SessionStateError("the session was closed during the call")
            if connections.closed
            else APITimeoutError(f"no result within the deadline of {seconds:g} s")
        )
        call.trace_id = call.choose_trace_id()
        call.describe(error)
        raise error

    async def _exchange(self, operation: Operation[T], call: Call) -> T:
        """Send `operation` through the chain and return its result."""
        request = self._build_request(operation, call)
        try:
            # Once more, for answers that come from a middleware.
            response = raise_for_status(call, await self._chain(request))
            return read_result(operation, response.content, _info(call, response))
        except PlastiqError as error:
            call.describe(error)
            raise


class _NoCookies(httpx.Cookies):
    """Keeps nothing of one payer's answer that could reach another's request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Leave all cookies alone; to look for some is a sixth of a call's cost."""


class _Client(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]  # a property there


def _chain(innermost: Handler, retry: Retry, middleware: object) -> Handler:
    """Return the onion around `innermost`, with the user's `middleware` checked."""
    own = tuple(middleware) if isinstance(middleware, Iterable) else (None,)
    if not all(callable(layer) for layer in own):
        msg = "middleware must be an iterable of async callables"
        raise ConfigurationError(msg)
    handler = innermost
    checks = (_check_headers,) if own else ()
    for layer in (retry, *checks, *reversed(own), TraceId()):
        handler = _around(layer, handler)
    return handler


async def _check_headers(request: httpx.Request, call_next: Handler) -> httpx.Response:
    """Stand between a user's middleware and the wire."""
    for name, value in request.headers.raw:
        check_header(name, value)
    return await call_next(request)


def _around(layer: Middleware, call_next: Handler) -> Handler:
    return lambda request: layer(request, call_next)


def _info(call: Call, response: httpx.Response) -> ResponseInfo:
    """Return how `response` came about."""
    return ResponseInfo(
        status=response.status_code,
        headers=response.headers,
        trace_id=call.choose_trace_id(),
        attempts=call.attempts,
        sent_at=call.sent_at,
        elapsed=timedelta(seconds=time.perf_counter() - call.started),
    )
