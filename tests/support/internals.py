"""Access to private modules for helpers, and for tests of other modules.

A test file may import the private module that it tests. All other private names are
imported here, so that a move in src/ breaks only one file.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import attrs
import httpx
import pytest

from plastiq_async import APIStatusError, ClientSecret, CreateClientSecret
from plastiq_async._call import Call, CallDefaults, start_call
from plastiq_async._hosts import is_loopback
from plastiq_async._operation import Operation
from plastiq_async._protocol import status_error
from plastiq_async._request import RequestBuilder
from plastiq_async._resources.client_secrets import _create
from plastiq_async._secrets import Body
from plastiq_async._telemetry import Measurements
from plastiq_async._transport.make import make_transports
from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._idempotency import IdempotencyKeys
from plastiq_async.testing._models.categories import Categories
from plastiq_async.testing._models.payers import forget_payer
from plastiq_async.testing._models.payment_intents import PaymentIntent, PaymentIntents
from plastiq_async.testing._models.payment_methods import PaymentMethods, add_card
from plastiq_async.testing._models.payments import Payments
from plastiq_async.testing._models.recipients import create_recipient
from plastiq_async.testing._routing import ApiRequest, ApiResponse, FakeState
from plastiq_async.testing._sandbox import make_sandbox_app
from plastiq_async.testing._seeds import SeededFake
from tests.support.recipients import RECIPIENT_JSON
from tests.support.sessions import PAYER
from tests.support.socket_server import Server

# These are only passed on.
__all__ = ["Measurements", "SeededFake", "is_loopback", "make_sandbox_app"]

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
    transports = make_transports(
        "httpx",
        base_url=server.base_url,
        verify=False,
        proxy=None,
        http_hosts=frozenset(),
        trust_env=False,
        max_connections=1,
    )
    return transports.api._inner


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


def add_twin(fake: FakePlastiq, intent_id: UUID) -> UUID:
    """Add a payment intent with the parties and the amount of another one."""
    state = fake._state
    intents = state.of(PaymentIntents)
    intent = intents.by_id[intent_id]
    twin = attrs.evolve(intent, id=uuid4(), created_at=state.now, captured=False)
    return intents.add(twin, limit=state.history).id


@attrs.define
class ChargeLog:
    """The payments of each payment intent, also those that a fake has dropped."""

    by_intent: defaultdict[UUID, list[UUID]] = attrs.field(
        factory=lambda: defaultdict(list)
    )
    times: dict[UUID, datetime] = attrs.field(factory=dict)


_CREATE_PAYMENT = next(
    route for route in FakePlastiq.routes if route.operation == "payments.create"
)


def _create_logged(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Create a payment, and log the charge if there is one."""
    payments = state.of(Payments)
    before = payments.charges
    response = _CREATE_PAYMENT.handler(request, state)
    if payments.charges > before:
        payment = next(reversed(payments.by_id.values()))
        log = state.of(ChargeLog)
        log.by_intent[payment.payment_intent_id].append(payment.id)
        log.times[payment.id] = payment.created_at
    return response


class FakeWithChargeLog(FakePlastiq):
    """A fake that logs every charge, however many records it keeps."""

    routes = (
        attrs.evolve(_CREATE_PAYMENT, handler=_create_logged),
        *(route for route in FakePlastiq.routes if route is not _CREATE_PAYMENT),
    )

    def payments_of(self, intent_id: UUID) -> list[UUID]:
        """Return the payments that were made for a payment intent."""
        return self._state.of(ChargeLog).by_intent.get(intent_id, [])

    def charged_at(self, payment_id: UUID) -> datetime:
        """Return when a payment was made, by the fake's clock."""
        return self._state.of(ChargeLog).times[payment_id]

    @property
    def now(self) -> datetime:
        """The time by the fake's clock."""
        return self._state.now


def forget_card(fake: FakePlastiq, intent_id: UUID) -> None:
    """Delete the card of a payment intent, which then cannot be paid."""
    state = fake._state
    intent = state.of(PaymentIntents).by_id[intent_id]
    del state.of(PaymentMethods).by_id[intent.payment_method_id]


_PAY = next(
    route for route in FakePlastiq.routes if route.operation == "payments.create"
)


def _pay_again(request: ApiRequest, state: FakeState) -> ApiResponse:
    """Pay a payment intent, and let it be paid again."""
    response = _PAY.handler(request, state)
    for intent in state.of(PaymentIntents).by_id.values():
        intent.captured = False
    return response


class FakeOfKeys(FakePlastiq):
    """A fake in which nothing but idempotency keys prevents a second charge.

    The payment intents of other fakes, and those of the API, can be paid once.
    """

    routes = (
        attrs.evolve(_PAY, handler=_pay_again),
        *(route for route in FakePlastiq.routes if route is not _PAY),
    )

    @property
    def payments(self) -> list[tuple[UUID, UUID]]:
        """The payment intent and the ID of each payment, that is of each charge."""
        payments = self._state.of(Payments).by_id.values()
        return [(payment.payment_intent_id, payment.id) for payment in payments]


def forget_keys(fake: FakePlastiq) -> None:
    """Let a fake forget all idempotency keys, and nothing else."""
    fake._state.of(IdempotencyKeys)._stored.clear()


def page_categories(fake: FakePlastiq, size: int) -> None:
    """Make a fake list so many categories at once."""
    fake._state.of(Categories).page_size = size
