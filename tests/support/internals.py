"""Access to private modules for helpers, and for tests of other modules.

A test file may import the private module that it tests. All other private names are
imported here, so that a move in src/ breaks only one file.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import attrs
import httpx
import pytest

from plastiq_async import APIStatusError, ClientSecret, CreateClientSecret
from plastiq_async._call import Call, CallDefaults, start_call
from plastiq_async._operation import Operation
from plastiq_async._protocol import status_error
from plastiq_async._request import RequestBuilder
from plastiq_async._resources.client_secrets import _create
from plastiq_async._secrets import Body
from plastiq_async._transport.make import make_transport
from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._idempotency import IdempotencyKeys
from plastiq_async.testing._models.categories import Categories
from plastiq_async.testing._models.payers import forget_payer
from plastiq_async.testing._models.payment_intents import PaymentIntent, PaymentIntents
from plastiq_async.testing._models.payment_methods import add_card
from plastiq_async.testing._models.recipients import create_recipient
from plastiq_async.testing._routing import ApiRequest, ApiResponse, FakeState
from tests.support.recipients import RECIPIENT_JSON
from tests.support.sessions import PAYER
from tests.support.socket_server import Server

# Key in `sys.modules` of the transport that needs an extra.
AIOHTTP_TRANSPORT = "plastiq_async._transport.aiohttp"


KEY = UUID("5b0c7a3e-93d4-41ee-b9d1-0242ac120002")


def make_operation(
    *,
    harmless: bool = True,
    keyed: bool = False,
    body: bytes | None = None,
    **rest: Any,
) -> Operation[Any]:
    """Return an operation for tests; with `keyed`, its idempotency key is `KEY`."""
    values: dict[str, Any] = {
        "name": "things.make",
        "method": "POST",
        "path": "/things",
        "harmless": harmless,
        "idempotency_key": KEY if keyed else None,
        "body": None if body is None else Body(body),
        "result": object,
    }
    return Operation(**values | rest)


def make_call(operation: Operation[Any], **state: Any) -> Call:
    """Return a call of `operation`; `state` overrides the default attributes."""
    values: dict[str, Any] = {
        "defaults": CallDefaults(timeout=30.0, max_retries=2),
        "trace_id": UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"),
        "timeout": 30.0,
    }
    return Call(operation=operation, **values | state)


def make_status_error(
    status: int, *, code: str | None = None, replayed: bool = False
) -> APIStatusError:
    """Return the error for a response with this status code."""
    error = status_error(status, [], b"", datetime.now(UTC))
    error.code, error.replayed = code, replayed
    return error


def operation_for(request: CreateClientSecret) -> Operation[ClientSecret]:
    """Return the operation that creates a client secret."""
    return _create(request)


def request_to(server: Server) -> httpx.Request:
    """Return a request as a session passes it to its transport."""
    return make_request(server.base_url)


def make_request(base_url: str = "https://a.example") -> httpx.Request:
    """Return a request, the trace ID of whose response is not verified."""
    operation = operation_for(CreateClientSecret(payer_id=PAYER))
    defaults = CallDefaults(timeout=30, max_retries=0, verify_trace_id=False)
    call = start_call(operation, {}, defaults)
    return RequestBuilder(base_url).build(call)


def httpx_transport_to(server: Server) -> httpx.AsyncBaseTransport:
    """Return the built-in httpx transport, limited to one connection."""
    bounded = make_transport(
        "httpx",
        base_url=server.base_url,
        verify=False,
        proxy=None,
        http_hosts=frozenset(),
        trust_env=False,
        max_connections=1,
    )
    return bounded._inner


def expire_idle_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every idle connection of sessions made from now on count as expired."""
    monkeypatch.setattr("plastiq_async._transport.make.KEEP_ALIVE", -1.0)


_CREATE_SECRET = next(
    route for route in FakePlastiq.routes if route.operation == "client_secrets.create"
)


def _create_own(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create the secret of the payer whose ID is the trace ID."""
    payer_id = request.recorded.trace_id
    state.payer_ids.add(payer_id)
    _CREATE_SECRET.handler(request, state)  # refuses other payers
    forget_payer(state, payer_id)
    return ApiResponse({"clientSecret": f"secret-of-{payer_id}"})


class FakeOfCallers(FakePlastiq):
    """A fake that creates secrets for payers whose ID is the trace ID of the request.

    A secret names the payer, so that it shows which call it is for.
    """

    routes = (
        attrs.evolve(_CREATE_SECRET, handler=_create_own),
        *(route for route in FakePlastiq.routes if route is not _CREATE_SECRET),
    )


def add_intent(
    fake: FakePlastiq,
    *,
    number: str = "4111111111111111",
    amount: str = "100.10",
    payer_id: UUID | None = None,
) -> UUID:
    """Add a payment intent of a payer that a card with `number` can pay, at once."""
    state = fake._state
    payer_id = payer_id or fake.payer_id
    intent = PaymentIntent(
        id=uuid4(),
        payer_id=payer_id,
        recipient_id=create_recipient(state, RECIPIENT_JSON).id,
        payment_method_id=add_card(state, payer_id, {"accountNumber": number}),
        by_card=True,
        target_amount=Decimal(amount),
        details={"memo": "October"},
        created_at=state.now,
    )
    return state.of(PaymentIntents).add(intent, limit=state.history).id


def forget_keys(fake: FakePlastiq) -> None:
    """Let a fake forget all idempotency keys, and nothing else."""
    fake._state.of(IdempotencyKeys)._stored.clear()


def page_categories(fake: FakePlastiq, size: int) -> None:
    """Make a fake list so many categories at once."""
    fake._state.of(Categories).page_size = size
