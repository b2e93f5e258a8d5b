"""aiohttp application that creates client secrets and lists payments for its pages.

Run it with the local fake, then request a secret:

    python -m plastiq_async.sandbox python examples/aiohttp_app.py 8000
    curl -i -X POST http://127.0.0.1:8000/orders/7/card-form
    curl -i http://127.0.0.1:8000/payments
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable
from functools import partial

from aiohttp import web

from plastiq_async import PlastiqSession, to_jsonable
from plastiq_async.integrations.aiohttp import (
    TraceIdFilter,
    add_device_cookie,
    add_trace_ids,
    answer_problems,
    end_user_from,
    plastiq_context,
    plastiq_session,
)

logger = logging.getLogger("shop")


async def card_form(request: web.Request) -> web.Response:
    """Create a client secret for the logged-in user."""
    logger.info("card form for order %s", request.match_info["order"])
    secret = await plastiq_session(request).client_secrets.create(
        payer_id=os.environ["PLASTIQ_PAYER_ID"],
        end_user=end_user_from(request),
    )
    return web.json_response(
        # to_jsonable leaves secrets out.
        {**to_jsonable(secret), "client_secret": secret.client_secret},
        headers={"Cache-Control": "no-store"},
    )


async def payments(request: web.Request) -> web.Response:
    """Return the first payments of the logged-in user, and never those of others."""
    page = await plastiq_session(request).payments.list(os.environ["PLASTIQ_PAYER_ID"])
    return web.json_response(to_jsonable(page))  # amounts are texts with all digits


def make_app(make_session: Callable[[], PlastiqSession]) -> web.Application:
    """Return the application; tests pass a session with a `FakePlastiq`."""
    app = web.Application(middlewares=[answer_problems])
    app.cleanup_ctx.append(plastiq_context(make_session))
    add_device_cookie(app)  # Safari on localhost: secure=False
    add_trace_ids(app)
    app.router.add_post("/orders/{order:[0-9]+}/card-form", card_form)
    app.router.add_get("/payments", payments)
    return app


if __name__ == "__main__":
    handler = logging.StreamHandler(sys.stdout)
    handler.addFilter(TraceIdFilter())
    logging.basicConfig(
        level=logging.INFO, format="%(trace_id)s %(message)s", handlers=[handler]
    )
    # The session may use aiohttp, too (extra plastiq-async[aiohttp]).
    app = make_app(partial(PlastiqSession, transport="aiohttp"))
    web.run_app(
        app, host="127.0.0.1", port=int(sys.argv[1]), print=None, access_log=None
    )
