"""Cost of decoding a page of 100 payments, compared with `json.loads`.

Run it as ``python -m benchmarks.decode``. It fails if the limit is exceeded.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from uuid import uuid4

import attrs

from plastiq_async import Page, Payment, ResponseInfo
from plastiq_async._codec import decode_json, structure_result

PAYMENTS = 100
ROUNDS = 101
MAX_RATIO = 10

INFO = ResponseInfo(
    status=200,
    headers=MappingProxyType({}),
    trace_id=uuid4(),
    attempts=1,
    sent_at=datetime.now(UTC),
    elapsed=timedelta(seconds=0.2),
)


def payment(number: int) -> dict[str, object]:
    """Return a payment as the API sends it."""
    target = 1000 + number
    return {
        "id": str(uuid4()),
        "fees": [
            {
                "amount": {"value": round(target * 0.0285, 2), "currency": "USD"},
                "type": "PLASTIQ_SERVICE_FEE",
                "rate": "2.85%",
            }
        ],
        "sourceAmount": {"value": round(target * 1.0285, 2), "currency": "USD"},
        "targetAmount": {"value": target, "currency": "USD"},
        "paymentMethod": {"id": str(uuid4())},
        "recipient": {"id": str(uuid4())},
        "payer": {"id": str(uuid4())},
        "paymentIntent": {"id": str(uuid4())},
        "details": {
            "accountName": "Ada's Coffee",
            "accountNumber": f"20-{number:06}",
            "memo": f"Invoice {number}",
        },
        "deliveryDate": "2020-11-20",
        "createdAt": "2020-11-19T01:35:53.096Z",
        "status": "SUBMITTED",
        "sourceDescriptor": "PLASTIQ*ROASTERY LLC",
        "targetDescriptor": "ADA'S COFFEE",
    }


def page_of_payments() -> bytes:
    """Return a response body with a full page of payments."""
    pagination = {
        "offset": 0,
        "limit": PAYMENTS,
        "total": 3 * PAYMENTS,
        "hasNextPage": True,
    }
    payments = [payment(number) for number in range(PAYMENTS)]
    return json.dumps({"data": payments, "pagination": pagination}).encode()


def decode(body: bytes) -> Page[Payment]:
    """Return the page in a response body, as a call does."""
    return structure_result(decode_json(body), Page[Payment], INFO)


def seconds(work: Callable[[bytes], object], body: bytes) -> float:
    """Return the CPU time of `work(body)`, in seconds."""
    started = time.process_time()
    work(body)
    return time.process_time() - started


def main() -> None:
    """Measure, print the results, and check the limit."""
    body = page_of_payments()
    page = decode(body)
    if len(page.data) != PAYMENTS or None in attrs.astuple(page.data[0], recurse=False):
        msg = "the page was not decoded"
        raise RuntimeError(msg)
    pairs = [(seconds(decode, body), seconds(json.loads, body)) for _ in range(ROUNDS)]
    ours, plain = (statistics.median(column) for column in zip(*pairs, strict=True))
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    print(f"Python {platform.python_version()}, medians of {ROUNDS}")
    print(
        f"{PAYMENTS} payments, {len(body) / 1000:.0f} kB: {ours * 1e3:.2f} ms"
        f"  = {ratio:.1f} times json.loads ({plain * 1e3:.2f} ms)"
    )
    if ratio > MAX_RATIO:
        sys.exit(1)


if __name__ == "__main__":
    main()
