"""Checkout: a page, and the backend that creates client secrets for it.

Requires fastapi and uvicorn. Run it with the local sandbox, then open
http://127.0.0.1:8000:

    python -m plastiq_async.sandbox python examples/checkout/app.py 8000

The page requests the client secret from its own backend and never calls the API, so
that the access token stays on the server. With the client secret, the vendor's script
tokenizes a card in the browser. That script is not part of this example.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Request, Response
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

PAGE = Path(__file__).parent / "page"

app = FastAPI(lifespan=plastiq_lifespan())  # reads PLASTIQ_ACCESS_TOKEN
app.add_middleware(DeviceCookieMiddleware)
app.add_middleware(TraceIdMiddleware)
app.add_exception_handler(PlastiqError, answer_problem)


class CardForm(BaseModel):
    """The response to the page, without absolute times: its clock may be wrong."""

    client_secret: str
    trace_id: UUID
    expires_in: float


@app.post("/card-form")
async def card_form(plastiq: Plastiq, request: Request, response: Response) -> CardForm:
    """Create a client secret for the logged-in user."""
    secret = await plastiq.client_secrets.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        end_user=end_user_from(request),
    )
    response.headers["Cache-Control"] = "no-store"
    left = secret.expires_at - datetime.now(UTC)
    return CardForm(
        client_secret=secret.client_secret,
        trace_id=secret.trace_id,
        expires_in=left.total_seconds(),
    )


app.mount("/", StaticFiles(directory=PAGE, html=True))

if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]))
