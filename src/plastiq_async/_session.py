"""`PlastiqSession`: the settings, the connections and the resources."""

import copy
import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

import attrs
import httpx

from plastiq_async._auth import TokenProvider, TokenSource
from plastiq_async._call import CallDefaults
from plastiq_async._call_record import Observer, SessionStats
from plastiq_async._codec import api_converter
from plastiq_async._config import (
    Environment,
    check_count,
    check_http_hosts,
    check_max_retries,
    check_timeout,
    resolve_access_token,
    resolve_base_url,
)
from plastiq_async._logging import logger, set_up_logging
from plastiq_async._middleware import check_middleware
from plastiq_async._ownership import Ownership
from plastiq_async._pace import make_pace
from plastiq_async._pipeline import Pipeline
from plastiq_async._quota import RetryQuota
from plastiq_async._rate_limit import RateLimiter
from plastiq_async._raw import RawRequests
from plastiq_async._request import RequestBuilder
from plastiq_async._resources.categories import Categories
from plastiq_async._resources.client_secrets import ClientSecrets
from plastiq_async._resources.documents import Documents
from plastiq_async._resources.payers import Payers
from plastiq_async._resources.payment_intents import PaymentIntents
from plastiq_async._resources.payment_methods import PaymentMethods
from plastiq_async._resources.payments import Payments
from plastiq_async._resources.recipients import Recipients
from plastiq_async._retry import RetryLoop
from plastiq_async._secrets import hide
from plastiq_async._telemetry import make_telemetry
from plastiq_async._transport.make import TransportName, make_transports
from plastiq_async.middleware import Middleware, TraceId
from plastiq_async.models.common import EndUser, check_end_user

__all__ = ["PlastiqSession"]


class PlastiqSession(RawRequests):
    """A session with the Plastiq Connect API: settings, connections and resources.

    Make one per event loop and keep it. Use it as an async context manager, or call
    `aclose` at the end. It may be made outside of an event loop, and works on asyncio
    and on trio. What no resource offers, `request` does.

    Args:
        access_token: The access token, or a callable, async or not, that returns it.
            The callable is called at the first request, and again after a 401. Default:
            ``PLASTIQ_ACCESS_TOKEN``.
        environment: ``"sandbox"``, which is Plastiq's, or ``"production"``. Default:
            ``PLASTIQ_ENVIRONMENT``, else ``"sandbox"``.
        base_url: API base URL; takes precedence over `environment`. Default:
            ``PLASTIQ_BASE_URL``, unless `environment` is given. ``http://`` is for
            loopback hosts only: ``localhost`` and the names below it, 127.0.0.0/8 and
            ::1. No proxy of the environment is used for it.
        timeout: Deadline of a whole call in seconds, retries and waits included.
        attempt_timeout: Time limit of one attempt in seconds, from the moment at which
            the request begins to leave. The call is retried after it. It applies to
            operations that do no harm if they are sent twice and carry no idempotency
            key; all others wait for their response until `timeout`.
        max_retries: Retries after the first attempt, 0 or more.
        max_connections: Calls in flight at once, 1 or more. Further calls wait, within
            their deadline.
        max_requests_per_minute: The most requests in any 60 seconds, 2 or more, retries
            included. Calls wait for their turn, within their deadline. Default: no
            limit.
        rate_limiter: A limit that several sessions or processes share, in place of
            `max_requests_per_minute`; see `RateLimiter`.
        transport: ``"httpx"``; ``"aiohttp"``, which is faster and needs asyncio and
            the extra ``plastiq-async[aiohttp]``; or any `httpx.AsyncBaseTransport`,
            which is closed with the session.
        middleware: Middleware, outermost first; see `plastiq_async.middleware`.
        observer: A callable, not async, that is called at the end of each call with its
            `CallRecord`. It must not block. What it raises is logged.
        verify: True to check the server's certificate; or the path of a file or folder
            of CA certificates; or an `ssl.SSLContext`; or False, for tests only. It
            also applies to a proxy of https without an `ssl_context` of its own.
        proxy: Proxy URL or `httpx.Proxy`; takes precedence over the environment's. With
            a base URL of http, only a proxy on a loopback or allowed host can be used.
        allow_http_hosts: Names or IP addresses of further hosts that may be used over
            ``http://``, such as the local fake in another container. The access token
            is sent to them in clear text, so that everybody on the way can read it. It
            cannot be set by an environment variable.
        trust_env: Whether to read proxies and CA files from environment variables.
        verify_trace_id: Whether to refuse a response that carries another call's trace
            ID. Set it to False only if a gateway rewrites the header.

    Attributes:
        categories: Categories, the industries that a recipient can belong to.
        client_secrets: Client secrets, with which a browser tokenizes a card.
        documents: Documents: evidence for payments under review.
        payers: Payers, who pay.
        payment_intents: Payment intents: quotes for payments.
        payment_methods: Payment methods: cards and bank accounts.
        payments: Payments, which charge the payer.
        recipients: Recipients, who are paid.

    Raises:
        ConfigurationError: A setting is missing or not usable; the error names it.
    """

    categories: Categories
    client_secrets: ClientSecrets
    documents: Documents
    payers: Payers
    payment_intents: PaymentIntents
    payment_methods: PaymentMethods
    payments: Payments
    recipients: Recipients

    def __init__(
        self,
        access_token: str | TokenProvider | None = None,
        *,
        environment: Environment | None = None,
        base_url: str | None = None,
        timeout: float = 30.0,
        attempt_timeout: float = 10.0,
        max_retries: int = 2,
        max_connections: int = 100,
        max_requests_per_minute: int | None = None,
        rate_limiter: RateLimiter | None = None,
        transport: TransportName | httpx.AsyncBaseTransport = "httpx",
        middleware: Iterable[Middleware] = (),
        observer: Observer | None = None,
        verify: bool | str | ssl.SSLContext = True,
        proxy: str | httpx.Proxy | None = None,
        allow_http_hosts: Iterable[str] = (),
        trust_env: bool = True,
        verify_trace_id: bool = True,
    ) -> None:
        # Crash reporters collect local variables.
        access_token, proxy = hide(access_token), hide(proxy)
        set_up_logging()
        # Imports cattrs here rather than in the user's event loop.
        api_converter()
        tokens = TokenSource(resolve_access_token(access_token))
        http_hosts = check_http_hosts(allow_http_hosts)
        self._base_url = resolve_base_url(base_url, environment, http_hosts)
        defaults = CallDefaults(
            timeout=check_timeout(timeout),
            attempt_timeout=check_timeout(attempt_timeout, name="attempt_timeout"),
            max_retries=check_max_retries(max_retries),
            verify_trace_id=verify_trace_id,
            host=urlsplit(self._base_url).hostname,
        )
        check_count("max_connections", max_connections, least=1)
        self._transports = make_transports(
            transport,
            base_url=self._base_url,
            verify=verify,
            proxy=proxy,
            http_hosts=http_hosts,
            trust_env=trust_env,
            max_connections=max_connections,
        )
        self._pipeline = Pipeline(
            ownership=Ownership(self._transports.api, max_connections),
            # The transport has read the environment already.
            client=_Client(transport=self._transports.api, trust_env=False),
            builder=RequestBuilder(self._base_url),
            tokens=tokens,
            middleware=(TraceId(), *check_middleware(middleware)),
            retries=RetryLoop(RetryQuota(max_connections)),
            defaults=defaults,
            pace=make_pace(max_requests_per_minute, rate_limiter),
            telemetry=make_telemetry(observer),
        )
        self._add_resources()
        logger.info("session for %s", self._base_url)

    def _add_resources(self) -> None:
        self.categories = Categories(self._pipeline)
        self.client_secrets = ClientSecrets(self._pipeline)
        self.documents = Documents(self._pipeline, self._transports)
        self.payers = Payers(self._pipeline)
        self.payment_intents = PaymentIntents(self._pipeline)
        self.payment_methods = PaymentMethods(self._pipeline)
        self.payments = Payments(self._pipeline)
        self.recipients = Recipients(self._pipeline)

    def with_options(
        self,
        *,
        timeout: float | None = None,
        attempt_timeout: float | None = None,
        max_retries: int | None = None,
        end_user: EndUser | None = None,
    ) -> Self:
        """Return a view: the same connections with other options.

        The view is cheap, and the session itself is unchanged. Closing a view closes
        the session.

        Args:
            timeout: Deadline of a call in seconds. Default: the session's.
            attempt_timeout: Time limit of an attempt in seconds. Default: the
                session's.
            max_retries: Retries after the first attempt. Default: the session's.
            end_user: The person at the browser, for calls that name none. Default: the
                session's.

        Raises:
            ConfigurationError: `timeout`, `attempt_timeout` or `max_retries` is not
                usable.
            InvalidArgumentError: `end_user` is not an `EndUser`.
        """
        current = self._pipeline.defaults
        defaults = attrs.evolve(
            current,
            timeout=current.timeout if timeout is None else check_timeout(timeout),
            attempt_timeout=(
                current.attempt_timeout
                if attempt_timeout is None
                else check_timeout(attempt_timeout, name="attempt_timeout")
            ),
            max_retries=(
                current.max_retries
                if max_retries is None
                else check_max_retries(max_retries)
            ),
            end_user=current.end_user if end_user is None else check_end_user(end_user),
        )
        view = copy.copy(self)
        pipeline = attrs.evolve(self._pipeline, defaults=defaults)
        view._pipeline = pipeline  # noqa: SLF001 -- our own
        view._add_resources()  # noqa: SLF001
        return view

    @property
    def stats(self) -> SessionStats:
        """The state of the session and its views at this moment; it costs little."""
        pipeline = self._pipeline
        return SessionStats(
            in_use=pipeline.ownership.in_use,
            waiting=pipeline.ownership.waiting,
            retry_quota_left=pipeline.retries.quota.left,
            idle_connections=self._transports.api.idle_connections,
        )

    async def aclose(self) -> None:
        """Close the connections. Calls in flight end with a `SessionStateError`.

        Repeating it is harmless.

        Raises:
            SessionStateError: The session belongs to another event loop or process.
        """
        await self._pipeline.ownership.aclose()

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
        """Show the base URL and whether the session is closed, but not the token."""
        if not hasattr(self, "_pipeline"):
            # Crash reporters show the `self` of an `__init__` that raised.
            return "<PlastiqSession (incomplete)>"
        state = "closed" if self._pipeline.ownership.closed else "open"
        return f"<PlastiqSession {self._base_url} ({state})>"


class _NoCookies(httpx.Cookies):
    """Keeps no cookies, which could carry one payer's data to another's request."""

    def extract_cookies(self, response: httpx.Response) -> None:
        """Ignore all cookies. Looking for them costs a sixth of a call."""


class _Client(httpx.AsyncClient):
    cookies = _NoCookies()  # type: ignore[override]  # a property there
