"""Models with known values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from plastiq_async.models import ClientSecret, ResponseInfo

PAYER = UUID("8f51c396-6e29-49a6-ba5a-1a31d5420158")
TRACE_ID = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "XYZCLIENTSECRET123"
A_SECOND = timedelta(seconds=1)


def make_info(**changes: Any) -> ResponseInfo:
    """Return a `ResponseInfo` with known values; `changes` override them."""
    values: dict[str, Any] = {
        "status": 200,
        "headers": {"X-Secret": SECRET},
        "trace_id": TRACE_ID,
        "attempts": 1,
        "sent_at": NOW,
        "elapsed": A_SECOND,
    }
    return ResponseInfo(**values | changes)


def make_secret(**changes: Any) -> ClientSecret:
    """Return a client secret issued at `NOW`; `changes` override its values."""
    values: dict[str, Any] = {
        "client_secret": SECRET,
        "trace_id": TRACE_ID,
        "issued_at": NOW,
        "response": make_info(),
    }
    return ClientSecret(**values | changes)
