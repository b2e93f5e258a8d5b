"""Checkout: a page, and the backend that creates client secrets for it.

Requires fastapi and uvicorn. Run it with the local fake, then open
http://127.0.0.1:8000:

    python -m plastiq_async.sandbox python examples/checkout/app.py 8000

The page requests the client secret from its own backend and never calls the API, so
that the access token stays on the server. With the client secret, the vendor's script
tokenizes a card in the browser. That script is not part of this example, and its
address is not public. Set `VENDOR_SCRIPT_URL` to the address that the vendor gives you.
The page then loads the script, and its content security policy lets in that origin.
"""

from __future__ import annotations

import html
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from plastiq_async import PlastiqError
from plastiq_async.integrations.asgi import DeviceCookieMiddleware, TraceIdMiddleware
from plastiq_async.integrations.fastapi import (
    Plastiq,
    answer_problem,
    end_user_from,
    plastiq_lifespan,
)

FOLDER = Path(__file__).parent
SCRIPT_MARK = "<!-- The backend puts the vendor's script here. -->"


def content_security_policy(script_url: str) -> str:
    """Return a policy that lets in this page's files and the vendor's script.

    Args:
        script_url: Absolute URL of the script, or an empty text.

    Returns:
        The policy. The script may open frames of its origin and call it.
    """
    sources = "'self'"
    if script_url:
        url = urlsplit(script_url)
        sources += f" {url.scheme}://{url.netloc}"
    return (
        f"script-src {sources}; connect-src {sources}; frame-src {sources}; "
        "style-src 'self'; img-src data:; default-src 'none'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    )


def page_with(script_url: str) -> str:
    """Return the page with the vendor's script.

    Args:
        script_url: Absolute URL of the script, or an empty text.

    Returns:
        The HTML of the page.
    """
    page = (FOLDER / "index.html").read_text("utf-8")
    tag = f'<script src="{html.escape(script_url)}" defer></script>'
    return page.replace(SCRIPT_MARK, tag) if script_url else page


SCRIPT_URL = os.environ.get("VENDOR_SCRIPT_URL", "")
PAGE = page_with(SCRIPT_URL)
POLICY = content_security_policy(SCRIPT_URL)

app = FastAPI(lifespan=plastiq_lifespan())  # reads PLASTIQ_ACCESS_TOKEN
app.add_middleware(DeviceCookieMiddleware)  # Safari on localhost: secure=False
app.add_middleware(TraceIdMiddleware)
app.add_exception_handler(PlastiqError, answer_problem)


class CardForm(BaseModel):
    """The response to the page, without absolute times: its clock may be wrong.

    Attributes:
        client_secret: Value of the secret.
        trace_id: Trace ID of the call.
        expires_in: Seconds from the arrival of the request to the secret's expiry. The
            page counts them from when it sent the request.
    """

    client_secret: str
    trace_id: UUID
    expires_in: float


@app.get("/")
async def index() -> HTMLResponse:
    """Return the page."""
    return HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})


@app.post("/card-form")
async def card_form(plastiq: Plastiq, request: Request, response: Response) -> CardForm:
    """Create a client secret for the logged-in user."""
    arrived = datetime.now(UTC)
    secret = await plastiq.client_secrets.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        end_user=end_user_from(request),
    )
    response.headers["Cache-Control"] = "no-store"
    left = secret.expires_at - arrived
    return CardForm(
        client_secret=secret.client_secret,
        trace_id=secret.trace_id,
        expires_in=left.total_seconds(),
    )


app.mount("/", StaticFiles(directory=FOLDER / "page"))

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
