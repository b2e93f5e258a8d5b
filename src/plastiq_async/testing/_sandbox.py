"""`make_sandbox_app`, the fake with CORS and control endpoints for other programs."""

from __future__ import annotations

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from plastiq_async.testing._control import (
    CONTROL_PREFIX,
    LOOPBACK_AUTHORITY,
    Control,
)
from plastiq_async.testing._fake import FakePlastiq

__all__ = ["make_sandbox_app"]


def make_sandbox_app(fake: FakePlastiq) -> ASGIApp:
    """Make the ASGI application that `python -m plastiq_async.sandbox` serves.

    Args:
        fake: The fake.

    Returns:
        The application. Web pages whose origin is on loopback may use all of it.
    """
    control = Control(fake)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        controls = scope["path"].startswith(CONTROL_PREFIX)
        await (control if controls else fake.app)(scope, receive, send)

    return CORSMiddleware(
        app,
        allow_origin_regex=f"https?://{LOOPBACK_AUTHORITY}",
        allow_methods=("DELETE", "GET", "PATCH", "POST"),
        allow_headers=(
            "Authorization",
            "Content-Type",
            "End-User-Device-Id",
            "End-User-Ip",
            "Idempotency-Key",
            "Trace-Id",
        ),
        expose_headers=("Idempotent-Replay", "Retry-After", "Trace-Id"),
    )
