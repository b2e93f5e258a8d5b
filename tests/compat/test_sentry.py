"""Sentry: events, breadcrumbs and spans with local variables, and without secrets."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
import sentry_sdk
from fastapi import FastAPI
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.aiohttp import AioHttpIntegration
from sentry_sdk.integrations.fastapi import FastApiIntegration
from sentry_sdk.integrations.httpx import HttpxIntegration
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.scrubber import EventScrubber
from sentry_sdk.transport import Transport

from plastiq_async import NewIdentityDocument, PlastiqSession
from tests.support.local_variables import (
    BODY,
    STEPS,
    create,
    failure,
    failures,
    timeout_for,
)
from tests.support.payers import NUMBER
from tests.support.payment_methods import CARD_JSON, CVV, make_card
from tests.support.private_requests import CALLS, DETAILS, PRIVATE_VALUES
from tests.support.private_texts import PRIVATE, assert_untold
from tests.support.recipients import RECEIVING_METHODS_JSON, RECIPIENT
from tests.support.sessions import PAYER, TOKEN, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.wirings import WIRINGS

pytestmark = [
    pytest.mark.parametrize(
        ("anyio_backend", "transport"), WIRINGS, indirect=["anyio_backend"]
    ),
    pytest.mark.usefixtures("quick_retries"),
]


class Reports(Transport):
    """What would be sent to Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.kinds: set[str | None] = set()

    def capture_envelope(self, envelope: Envelope) -> None:
        """Keep the text of an envelope."""
        self.texts.append(envelope.serialize().decode())
        self.kinds |= {item.type for item in envelope.items}

    def events(self) -> list[dict[str, Any]]:
        """Return all events and transactions."""
        lines = [line for text in self.texts for line in text.splitlines()]
        return [one for one in map(json.loads, lines) if "event_id" in one]


@pytest.fixture
def reports() -> Iterator[Reports]:
    """Set up Sentry so that it collects as much as it can."""
    transport = Reports()
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1",
        transport=transport,
        attach_stacktrace=True,
        include_local_variables=True,
        traces_sample_rate=1.0,
        # By default, it masks variables by their names, such as `token`.
        event_scrubber=EventScrubber(denylist=[], pii_denylist=[]),
        default_integrations=False,
        auto_enabling_integrations=False,
        integrations=[
            AioHttpIntegration(),
            FastApiIntegration(),
            HttpxIntegration(),
            LoggingIntegration(level=logging.DEBUG, event_level=logging.INFO),
            StarletteIntegration(),
        ],
    )
    yield transport
    sentry_sdk.init()


async def attempt(session: PlastiqSession) -> None:
    """Make all calls in a transaction, and report their errors."""
    with sentry_sdk.start_transaction(name="checkout"):
        for error in await failures(CALLS.values(), session):
            if error:
                sentry_sdk.capture_exception(error)


# The others are in tests/faults/test_local_variables.py.
@pytest.mark.parametrize(
    "name",
    [
        "good",
        "overloaded",
        "malformed",
        "too large",
        "of another call",
        "reset",
        "ignored",
        "quote of the request",
        "echo in the reason",
    ],
)
async def test_calls(name: str, transport: Any, reports: Reports) -> None:
    """Nothing that is reported about a call contains a private value."""
    options: dict[str, Any] = {
        "transport": transport,
        "timeout": timeout_for(name),
    }
    with Server(STEPS[name]) as server:
        async with session_for(server, **options) as session:
            await attempt(session)
    assert "transaction" in reports.kinds
    if name != "good":
        assert "event" in reports.kinds
    # A deadline ends a call above the frames that are reported.
    if name not in {"good", "ignored"}:
        assert any('"module":"plastiq_async._pipeline"' in one for one in reports.texts)
    assert_untold(reports.texts, [*PRIVATE, *PRIVATE_VALUES])


# Each passes on private values that are in no variable of a function here.
REFUSED: list[Callable[[Any], Awaitable[object]]] = [
    lambda session: session.payment_methods.create(PAYER, data=CARD_JSON),
    lambda session: session.payment_methods.create(PAYER, data=make_card(), cvv=CVV),
    lambda session: session.payers.update(PAYER, identity_documents=[{"": NUMBER}]),
    lambda session: session.payment_intents.update(PAYER, details=DETAILS),
    lambda session: session.recipients.create(
        **RECIPIENT | {"receiving_method": RECEIVING_METHODS_JSON}
    ),
    lambda session: session.payers.create(
        identity_documents=NewIdentityDocument(type=CVV, value=NUMBER)  # type: ignore[arg-type]  # so
    ),
]


async def test_refused(transport: Any, reports: Reports) -> None:
    """Nothing that is reported about a refused argument contains its value."""
    with Server(answer()) as server:
        async with session_for(server, transport=transport) as session:
            for error in await failures(REFUSED, session):
                assert error is not None
                sentry_sdk.capture_exception(error)
    assert not server.requests
    errors = [event for event in reports.events() if "exception" in event]
    assert len(errors) == len(REFUSED)
    assert_untold(reports.texts, PRIVATE_VALUES)


async def test_provider(transport: Any, reports: Reports) -> None:
    """An error of a token provider, deep in this library, contains none."""
    tokens = [TOKEN]

    async def provide() -> str:
        return tokens.pop()

    with Server(answer(401, BODY)) as server:
        options = {"base_url": server.base_url, "transport": transport, "verify": False}
        async with PlastiqSession(provide, **options) as session:
            await attempt(session)
    assert any("IndexError" in text for text in reports.texts)
    assert_untold(reports.texts)


async def test_fastapi(transport: Any, reports: Reports) -> None:
    """An error that an endpoint does not handle is reported once, without them."""
    app = FastAPI()

    with Server(answer(body=b'{"clientSecret": null}')) as server:
        session = session_for(server, transport=transport)

        @app.post("/checkout")
        async def checkout() -> None:
            await create(session)

        inner = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with (
            session,
            httpx.AsyncClient(transport=inner, base_url="http://app") as browser,
        ):
            response = await browser.post("/checkout")
    assert response.status_code == 500
    errors = [event for event in reports.events() if "exception" in event]
    assert len(errors) == 1
    assert errors[0]["exception"]["values"][-1]["type"] == "APIResponseError"
    assert_untold(reports.texts)


async def test_crash_reports_show_variables(transport: Any, reports: Reports) -> None:
    """The search works: a private value in a variable is found."""

    async def crash() -> None:
        variable = f"Bearer {TOKEN}"
        raise ValueError(len(variable))

    sentry_sdk.capture_exception(await failure(crash))
    with pytest.raises(AssertionError):
        assert_untold(reports.texts, PRIVATE)
