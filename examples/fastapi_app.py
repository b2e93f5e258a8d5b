"""FastAPI application that creates client secrets and lists payments for its pages.

Requires fastapi and uvicorn. Run it with the local fake, then request a secret:

    python -m plastiq_async.sandbox python examples/fastapi_app.py 8000
    curl -i -X POST http://127.0.0.1:8000/orders/7/card-form
    curl -i http://127.0.0.1:8000/payments
"""

from __future__ import annotations

import logging
import os
import sys

import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from plastiq_async import PlastiqError, to_jsonable
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


@app.post("/orders/{order}/card-form")
async def card_form(order: int, plastiq: Plastiq, request: Request) -> JSONResponse:
    """Create a client secret for the logged-in user."""
    logger.info("card form for order %d", order)  # with the request's trace ID
    secret = await plastiq.client_secrets.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        end_user=end_user_from(request),
    )
    return JSONResponse(
        # to_jsonable leaves secrets out.
        {**to_jsonable(secret), "client_secret": secret.client_secret},
        headers={"Cache-Control": "no-store"},
    )


@app.get("/payments")
async def payments(plastiq: Plastiq) -> JSONResponse:
    """Return the first payments of the logged-in user, and never those of others."""
    page = await plastiq.payments.list(os.environ["PLASTIQ_PAYER_ID"])
    return JSONResponse(to_jsonable(page))  # amounts are texts with all digits


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(TraceIdFilter())
    logging.basicConfig(
        level=logging.INFO, format="%(trace_id)s %(message)s", handlers=[handler]
    )
    uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
