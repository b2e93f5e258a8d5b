"""Type checks of the public API; nothing here runs.

A `type: ignore` marks an expected error: both checkers report an unused one.
"""

# pyright: reportUnnecessaryTypeIgnoreComment=true

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import assert_type
from unittest.mock import AsyncMock, create_autospec, patch
from uuid import UUID

import httpx

from plastiq_async import (
    APIConnectionError,
    APIResponseError,
    APIStatusError,
    CallRecord,
    ClientSecret,
    ClientSecrets,
    CreateClientSecret,
    EndUser,
    Environment,
    Failed,
    Jsonable,
    MissingDependencyError,
    Observer,
    Outcome,
    Page,
    Payer,
    Payment,
    PlastiqError,
    PlastiqSession,
    RateLimiter,
    RateLimitError,
    ResponseInfo,
    SessionStats,
    Succeeded,
    TokenProvider,
    TransportName,
    bulk,
    current_trace_id,
    to_jsonable,
    trace_context,
)
from plastiq_async.integrations.opentelemetry import OpenTelemetryObserver
from plastiq_async.middleware import (
    CallInfo,
    Handler,
    Middleware,
    TraceId,
    trace_id_of,
)
from plastiq_async.models import ClientSecretType


async def provide_token() -> str:
    """Return a token asynchronously."""
    return "token"


def provide_token_at_once() -> str:
    """Return a token without being async."""
    return "token"


async def tenant(request: httpx.Request, call_next: Handler) -> httpx.Response:
    """Pass the request on, as valid middleware."""
    return await call_next(request)


async def no_middleware(request: httpx.Request) -> httpx.Response:
    """Return a response without `call_next`, which is not allowed."""
    return httpx.Response(200, request=request)


class Tenant:
    """Middleware with state."""

    async def __call__(
        self, request: httpx.Request, call_next: Handler, /
    ) -> httpx.Response:
        """Pass the request on."""
        return await call_next(request)


def make_sessions(transport: httpx.AsyncBaseTransport) -> None:
    """Create sessions with valid and invalid arguments."""
    assert_type(PlastiqSession(), PlastiqSession)
    PlastiqSession("token")
    PlastiqSession(access_token=provide_token)
    PlastiqSession(access_token=provide_token_at_once)
    PlastiqSession(environment="production", timeout=5, max_retries=0)
    PlastiqSession(base_url="https://a.example", max_connections=5)
    PlastiqSession(transport="httpx", verify="ca.pem", proxy="http://localhost")
    PlastiqSession(verify=ssl.create_default_context(), proxy=httpx.Proxy("http://a"))
    PlastiqSession(transport=transport, trust_env=False, verify_trace_id=False)
    PlastiqSession(allow_http_hosts=("plastiq-fake", "10.0.0.5"))
    PlastiqSession(middleware=[tenant, Tenant(), TraceId()])
    PlastiqSession(middleware=(layer for layer in (tenant, tenant)))

    PlastiqSession(b"token")  # type: ignore[arg-type]
    PlastiqSession("token", "sandbox")  # type: ignore[call-arg]
    PlastiqSession(lambda: 5)  # type: ignore[arg-type, return-value]
    PlastiqSession(environment="staging")  # type: ignore[arg-type]
    PlastiqSession(transport="requests")  # type: ignore[arg-type]
    PlastiqSession(middleware=[no_middleware])  # type: ignore[list-item]
    PlastiqSession(allow_http_hosts=[b"plastiq-fake"])  # type: ignore[list-item]


async def use_session(session: PlastiqSession) -> None:
    """Use a session."""
    assert_type(session.with_options(), PlastiqSession)
    assert_type(session.with_options(timeout=1.5, max_retries=0), PlastiqSession)
    session.with_options(max_connections=5)  # type: ignore[call-arg]
    async with session as entered:
        assert_type(entered, PlastiqSession)
    await session.aclose()


class TenantSession(PlastiqSession):
    """A session of an application."""

    tenant: str


async def use_subclass(session: TenantSession) -> None:
    """Use a subclass, whose views are of the same class."""
    assert_type(session.with_options(timeout=5), TenantSession)
    assert_type(session.with_options(timeout=5).with_options().tenant, str)
    async with session as entered:
        assert_type(entered, TenantSession)


def replace_methods(session: PlastiqSession, secret: ClientSecret) -> None:
    """Replace a method or a resource, as a test does."""
    create = AsyncMock(return_value=secret)
    with patch.object(session.client_secrets, "create", create):
        pass
    with patch.object(session.with_options().client_secrets, "create", create):
        pass
    resource: ClientSecrets = create_autospec(session.client_secrets)
    session.client_secrets = resource


def make_session(
    environment: Environment, transport: TransportName, provider: TokenProvider
) -> PlastiqSession:
    """Make a session, with settings of types that can be imported."""
    return PlastiqSession(provider, environment=environment, transport=transport)


class MyLimiter:
    """A rate limiter, by its methods alone."""

    async def reserve(self) -> float:
        """Reserve a slot."""
        return 0

    def throttled(self, retry_after: float | None) -> None:
        """Do nothing."""


class HalfALimiter:
    """Not a rate limiter."""

    async def reserve(self) -> float:
        """Reserve a slot."""
        return 0


def limit_requests() -> None:
    """Make sessions with a rate limit, which their views share."""
    limiter: RateLimiter = MyLimiter()
    PlastiqSession(rate_limiter=limiter)
    PlastiqSession(rate_limiter=HalfALimiter())  # type: ignore[arg-type]
    session = PlastiqSession(max_requests_per_minute=200)
    PlastiqSession(max_requests_per_minute="200")  # type: ignore[arg-type]
    session.with_options(max_requests_per_minute=200)  # type: ignore[call-arg]


async def create(session: PlastiqSession, payer: UUID | str) -> None:
    """Create client secrets."""
    secret = await session.client_secrets.create(payer)
    assert_type(secret, ClientSecret)
    await session.client_secrets.create(
        payer_id=payer,
        type="CARD",
        end_user=EndUser(user_agent="Mozilla/5.0", ip=None, device_id="a1"),
        trace_id=payer,
        timeout=5,
    )
    await session.client_secrets.create()  # type: ignore[call-arg]
    await session.client_secrets.create(payer, type="BANK")  # type: ignore[arg-type]
    await session.client_secrets.create(payer, "CARD")  # type: ignore[call-arg]

    assert_type(secret.client_secret, str)
    assert_type(secret.trace_id, UUID)
    assert_type(secret.issued_at, datetime)
    assert_type(secret.expires_at, datetime)
    assert_type(secret.is_expired(), bool)
    assert_type(secret.response, ResponseInfo)
    assert_type(secret.response.status, int)
    assert_type(secret.response.headers, Mapping[str, str])
    assert_type(secret.response.trace_id, UUID)
    assert_type(secret.response.attempts, int)
    assert_type(secret.response.sent_at, datetime)
    assert_type(secret.response.elapsed, timedelta)
    secret.client_secret = "other"  # type: ignore[misc]


async def create_many(
    session: PlastiqSession,
    requests: list[CreateClientSecret],
    more: AsyncIterator[CreateClientSecret],
) -> None:
    """Create client secrets for many payers."""
    create_many = session.client_secrets.create_many
    async with create_many(requests, concurrency=5) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, Outcome[CreateClientSecret, ClientSecret])
            assert_type(outcome.request, CreateClientSecret)
            assert_type(outcome.result, ClientSecret | None)
            if outcome.error:
                assert_type(outcome.error, Exception)
            match outcome:
                case Succeeded(request=request, result=secret):
                    assert_type(request, CreateClientSecret)
                    assert_type(secret, ClientSecret)
                case Failed(request=request, error=error):
                    assert_type(request, CreateClientSecret)
                    assert_type(error, Exception)
    create_many(more)
    create_many(["payer"])  # type: ignore[list-item]
    create_many(session)  # type: ignore[arg-type]


async def no_call(number: int, text: str) -> str:
    """Take more than an item."""
    return text * number


async def call_in_bulk(
    session: PlastiqSession, payers: list[UUID], more: AsyncIterator[str]
) -> None:
    """Make calls of all kinds for many items."""
    async with bulk(session.payers.retrieve, payers, concurrency=5) as outcomes:
        async for outcome in outcomes:
            assert_type(outcome, Outcome[UUID, Payer])
            assert_type(outcome.request, UUID)
            assert_type(outcome.result, Payer | None)
            match outcome:
                case Succeeded(result=payer):
                    assert_type(payer, Payer)
                case Failed(error=error):
                    assert_type(error, Exception)
    async with bulk(session.payers.delete, more) as deleted:
        assert_type(await anext(deleted), Outcome[str, None])
    async with bulk(lambda text: no_call(len(text), text), more) as texts:
        assert_type(await anext(texts), Outcome[str, str])
    async with bulk(session.payments.list, payers) as pages:
        assert_type((await anext(pages)).result, Page[Payment] | None)
    bulk(provide_token, payers)  # type: ignore[arg-type]
    bulk(no_call, [1])  # type: ignore[arg-type]
    bulk(len, ["payer"])  # type: ignore[arg-type]
    bulk(session.payers.retrieve, [5])  # type: ignore[arg-type]
    bulk(session.payers.retrieve, session)  # type: ignore[arg-type]
    bulk(session.payers.retrieve, payers, 5)  # type: ignore[call-arg]


def read_models(end_user: EndUser, payer: UUID | str) -> None:
    """Build request models ahead of their calls, and read them."""
    request = CreateClientSecret(payer_id=payer, end_user=end_user, trace_id=payer)
    kind: ClientSecretType = request.type
    CreateClientSecret(payer_id=payer, type=kind)
    assert_type(request.payer_id, UUID)
    assert_type(request.trace_id, UUID | None)
    assert_type(request.end_user, EndUser | None)
    assert_type(end_user.user_agent, str | None)
    assert_type(end_user.ip, str | None)
    assert_type(end_user.device_id, str | None)
    EndUser("Mozilla/5.0")  # type: ignore[call-arg]
    CreateClientSecret(payer_id=5)  # type: ignore[arg-type]


def convert(secret: ClientSecret, page: Page[ClientSecret], end_user: EndUser) -> None:
    """Convert results for a web framework."""
    assert_type(to_jsonable(secret), dict[str, Jsonable])
    assert_type(to_jsonable(page), dict[str, Jsonable])
    assert_type(to_jsonable({"secret": secret}), dict[str, Jsonable])
    assert_type(to_jsonable(page.data), list[Jsonable])
    assert_type(to_jsonable([secret, None]), list[Jsonable])
    assert_type(to_jsonable(end_user), Jsonable)
    assert_type(to_jsonable(end_user.ip), Jsonable)
    form: Mapping[str, object] = to_jsonable(secret)
    form = {**to_jsonable(secret), "client_secret": secret.client_secret}
    to_jsonable(form)


def read_errors(
    error: PlastiqError, status: APIStatusError, answer: APIResponseError
) -> None:
    """Read the attributes of errors."""
    assert_type(error.trace_id, UUID | None)
    assert_type(error.method, str | None)
    assert_type(error.path, str | None)
    assert_type(error.attempts, int)
    assert_type(error.outcome_unknown, bool)
    assert_type(error.resume_offset, int | None)
    assert_type(status.message, str)
    assert_type(status.status_code, int)
    assert_type(status.code, str | None)
    assert_type(status.details, tuple[str, ...])
    assert_type(status.retry_after, float | None)
    assert_type(answer.status_code, int | None)
    if isinstance(error, RateLimitError):
        assert_type(error.retry_after, float | None)
    if isinstance(error, APIConnectionError):
        assert_type(error.host, str | None)
        assert_type(error.transient, bool)
    if isinstance(error, MissingDependencyError):
        assert_type(error.name, str | None)


def trace(trace_id: UUID | str | None) -> None:
    """Set and read trace IDs."""
    with trace_context() as made:
        assert_type(made, UUID)
    with trace_context(trace_id) as given:
        assert_type(given, UUID)
    assert_type(current_trace_id(), UUID | None)
    trace_context(5)  # type: ignore[arg-type]


def observe(record: CallRecord) -> None:
    """Read what a record says."""
    assert_type(record.operation, str)
    assert_type(record.method, str)
    assert_type(record.path, str)
    assert_type(record.trace_id, UUID)
    assert_type(record.idempotency_key, UUID | None)
    assert_type(record.attempts, int)
    assert_type(record.deadline, float)
    assert_type(record.host, str | None)
    assert_type(record.status, int | None)
    assert_type(record.error_type, str | None)
    assert_type(record.cancelled, bool)
    assert_type(record.outcome_unknown, bool)
    assert_type(record.replayed, bool)
    assert_type(record.elapsed, float)
    assert_type(record.permit_wait, float)
    assert_type(record.pace_wait, float)
    assert_type(record.retries, tuple[str, ...])
    assert_type(record.quota_exhausted, bool)
    record.status = 200  # type: ignore[misc]


def observe_call_info(info: CallInfo) -> bool:
    """Take what all calls have in common, and return something."""
    return info.attempts > 1


def observe_sessions(records: list[CallRecord]) -> None:
    """Make sessions with observers, and read their state."""
    observers: list[Observer] = [
        observe,
        observe_call_info,
        records.append,
        OpenTelemetryObserver(),
    ]
    for observer in observers:
        session = PlastiqSession("token", observer=observer)
        assert_type(session.stats, SessionStats)
        assert_type(session.stats.in_use, int)
        assert_type(session.stats.waiting, int)
        assert_type(session.stats.retry_quota_left, int)
        assert_type(session.stats.idle_connections, int | None)
    PlastiqSession("token", observer=5)  # type: ignore[arg-type]
    PlastiqSession("token", observer=provide_token)  # type: ignore[arg-type]


async def write_middleware(request: httpx.Request, handler: Handler) -> None:
    """Call middleware by hand, as its test does."""
    layers: list[Middleware] = [tenant, Tenant(), TraceId()]
    for layer in layers:
        assert_type(await layer(request, handler), httpx.Response)
    assert_type(trace_id_of(request), UUID)
