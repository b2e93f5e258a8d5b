"""FastAPI application that creates client secrets for its own pages.

Requires fastapi and uvicorn. Run it with the local fake, then request a secret:

    python -m plastiq_async.sandbox python examples/fastapi_app.py 8000
    curl -i -X POST http://127.0.0.1:8000/orders/7/card-form
"""

from __future__ import annotations

import logging
import os
import sys
from datetime import datetime
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ConfigDict

from plastiq_async import PlastiqError
from plastiq_async.integrations.asgi import (
    DeviceCookieMiddleware,
    TraceIdFilter,
    TraceIdMiddleware,
)
from plastiq_async.integrations.fastapi import (
    Plastiq,
    answer_problem,
    end_user_from,
    plastiq_lifespan,
)

logger = logging.getLogger("shop")

app = FastAPI(lifespan=plastiq_lifespan())  # reads PLASTIQ_ACCESS_TOKEN
app.add_middleware(DeviceCookieMiddleware)  # Safari on localhost: secure=False
app.add_middleware(TraceIdMiddleware)
app.add_exception_handler(PlastiqError, answer_problem)


class CardForm(BaseModel):
    """The response to a page, because FastAPI does not serialise attrs classes."""

    model_config = ConfigDict(from_attributes=True)

    client_secret: str
    trace_id: UUID
    expires_at: datetime


@app.post("/orders/{order}/card-form")
async def card_form(
    order: int, plastiq: Plastiq, request: Request, response: Response
) -> CardForm:
    """Create a client secret for the logged-in user."""
    logger.info("card form for order %d", order)  # with the request's trace ID
    secret = await plastiq.client_secrets.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        end_user=end_user_from(request),
    )
    response.headers["Cache-Control"] = "no-store"
    return CardForm.model_validate(secret)


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(TraceIdFilter())
    logging.basicConfig(
        level=logging.INFO, format="%(trace_id)s %(message)s", handlers=[handler]
    )
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
