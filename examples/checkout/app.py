"""Checkout: a page that takes a card payment, and its backend.

Requires fastapi and uvicorn. Run it with the local fake, then open
http://127.0.0.1:8000:

    python -m plastiq_async.sandbox python examples/checkout/app.py 8000

Pay with any valid test number such as 4242 4242 4242 4242; 4000 0000 0000 0002 is
declined. Each visit of `/` makes a new order, which stands for the payer's cart.

The page sends the card to the vendor with a client secret from this backend, which
never sees the card. The access token stays on the backend. Orders and their idempotency
keys are kept in memory, or in the SQLite file that `CHECKOUT_DATABASE` names.

In the browser, `page/tokenize.js` stands in for the vendor's script, whose address is
not public, and sends the card to the local fake. With the real API, set
`VENDOR_SCRIPT_URL` to the address that the vendor gives you, and call the script in
`page/tokenize.js`. The page loads the script, and its content security policy lets in
that origin.
"""

from __future__ import annotations

import html
import os
import sys
from contextlib import suppress
from decimal import Decimal
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import uvicorn
from fastapi import APIRouter, Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse
from fastapi.staticfiles import StaticFiles
from orders import Order, Orders, OrderView
from paying import make_quote, pay
from pydantic import BaseModel

from plastiq_async import PlastiqError, PlastiqSession
from plastiq_async.integrations.asgi import DeviceCookieMiddleware, TraceIdMiddleware
from plastiq_async.integrations.fastapi import (
    Plastiq,
    answer_problem,
    end_user_from,
    plastiq_lifespan,
)

FOLDER = Path(__file__).parent
SCRIPT_MARK = "<!-- The backend puts the vendor's script here. -->"
NO_STORE = {"Cache-Control": "no-store"}


def origin_of(url: str) -> str:
    """Return the scheme and authority of an absolute URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def is_loopback(host: str) -> bool:
    """Tell whether a host is this machine, as `PlastiqSession` does."""
    try:
        address = ip_address(host)
    except ValueError:
        return f".{host.removesuffix('.')}".endswith(".localhost")  # RFC 6761
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def stand_in_url(base_url: str) -> str:
    """Return where the local fake takes cards, or an empty text for another API."""
    if not is_loopback(urlsplit(base_url).hostname or ""):
        return ""
    return f"{origin_of(base_url)}/_sandbox/tokenize"


def content_security_policy(script_url: str, tokenize_url: str) -> str:
    """Return a policy that lets in this page's files and the vendor's.

    Args:
        script_url: Absolute URL of the vendor's script, or an empty text. The script
            may open frames of its origin and call it.
        tokenize_url: Absolute URL to which the page sends cards, or an empty text.

    Returns:
        The policy. No form is ever submitted: a card leaves the page by a script only.
    """
    vendor = f" {origin_of(script_url)}" if script_url else ""
    stand_in = f" {origin_of(tokenize_url)}" if tokenize_url else ""
    return (
        f"script-src 'self'{vendor}; connect-src 'self'{vendor}{stand_in}; "
        f"frame-src 'self'{vendor}; style-src 'self'; img-src data:; "
        "default-src 'none'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )


def page_with(script_url: str, tokenize_url: str) -> str:
    """Return the HTML of the page, with the vendor's script if there is one."""
    page = (FOLDER / "index.html").read_text("utf-8")
    if script_url:
        tag = f'<script src="{html.escape(script_url)}" defer></script>'
        page = page.replace(SCRIPT_MARK, tag)
    return page.replace("TOKENIZE_URL", html.escape(tokenize_url))


SCRIPT_URL = os.environ.get("VENDOR_SCRIPT_URL", "")
TOKENIZE_URL = stand_in_url(os.environ.get("PLASTIQ_BASE_URL", ""))
PAGE = page_with(SCRIPT_URL, TOKENIZE_URL)
POLICY = content_security_policy(SCRIPT_URL, TOKENIZE_URL)

orders = Orders(os.environ.get("CHECKOUT_DATABASE", ":memory:"))


async def find_order(order_id: UUID) -> Order:
    """Return the order of a path. In your application, check whose order it is."""
    try:
        return orders.find(order_id)
    except KeyError:
        raise HTTPException(404) from None


async def session_for(plastiq: Plastiq, request: Request) -> PlastiqSession:
    """Return a view of the session that reports the payer's browser."""
    return plastiq.with_options(end_user=end_user_from(request))


async def no_store(response: Response) -> None:
    """Keep a response out of all caches."""
    response.headers.update(NO_STORE)


CurrentOrder = Annotated[Order, Depends(find_order)]
Session = Annotated[PlastiqSession, Depends(session_for)]


class CardForm(BaseModel):
    """What the page needs to send a card.

    Attributes:
        client_secret: Client secret, for the payer's own browser.
    """

    client_secret: str


class Card(BaseModel):
    """A card that the vendor knows.

    Attributes:
        payment_method_id: ID of the payment method.
    """

    payment_method_id: UUID


class Decision(BaseModel):
    """The payer's decision to pay.

    Attributes:
        intent_id: The quote that the page has shown.
    """

    intent_id: UUID


app = FastAPI(lifespan=plastiq_lifespan())  # reads PLASTIQ_ACCESS_TOKEN
app.add_middleware(DeviceCookieMiddleware)  # Safari on localhost: secure=False
app.add_middleware(TraceIdMiddleware)
app.add_exception_handler(PlastiqError, answer_problem)
order_routes = APIRouter(prefix="/orders/{order_id}", dependencies=[Depends(no_store)])


@app.get("/")
async def new_order() -> RedirectResponse:
    """Make an order of the logged-in user, and go to its page."""
    order = Order(
        amount=Decimal("240.00"),
        payer_id=UUID(os.environ["PLASTIQ_PAYER_ID"]),
        recipient_id=UUID(os.environ["PLASTIQ_RECIPIENT_ID"]),
    )
    orders.add(order)
    return RedirectResponse(f"/orders/{order.id}", 303, NO_STORE)


@order_routes.get("")
async def page(_: CurrentOrder) -> HTMLResponse:
    """Return the page, which then asks for the state of the order."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY, **NO_STORE})


@order_routes.get("/state")
async def read_state(order: CurrentOrder, plastiq: Session) -> OrderView:
    """Return the order, with the status of its payment as it is now."""
    if order.receipt:
        with suppress(PlastiqError):  # then with the status of before
            payment = await plastiq.payments.retrieve(
                order.receipt.payment_id, order.payer_id
            )
            receipt = order.receipt.model_copy(update={"status": payment.status})
            return orders.change(order, receipt=receipt)
    return order


@order_routes.post("/card-form")
async def prepare_card_form(order: CurrentOrder, plastiq: Session) -> CardForm:
    """Create a client secret, with which the page sends one card within a minute."""
    secret = await plastiq.client_secrets.create(order.payer_id)
    return CardForm(client_secret=secret.client_secret)


@order_routes.post("/quote")
async def quote_card(order: CurrentOrder, card: Card, plastiq: Session) -> OrderView:
    """Quote the order with a card, unless the payer has already decided to pay."""
    if order.step in ("paying", "paid"):
        return order
    return await make_quote(plastiq, orders, order, card.payment_method_id)


@order_routes.post("/pay")
async def decide(
    order: CurrentOrder, decision: Decision, plastiq: Session
) -> OrderView:
    """Pay the quote that the page has shown: once, however often it is called."""
    quote = order.quote
    if order.step == "quote" and quote and quote.intent_id == decision.intent_id:
        # Stored before the call, with the key, so that a crash loses neither.
        order = orders.change(order, step="paying", notice=None)
    return await pay(plastiq, orders, order)


app.include_router(order_routes)
app.mount("/page", StaticFiles(directory=FOLDER / "page"))

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
