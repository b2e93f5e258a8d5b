"""The faults that can be ordered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from functools import partial
from uuid import UUID

import httpx
import pytest

from plastiq_async.testing import FakePlastiq
from tests.testing.calls import TRACE_ID, body_for, client_for, post
from tests.testing.widgets import FakeWithWidgets


async def test_failure_in_the_usual_shape() -> None:
    """A failure strikes before the token is checked, once, and processes nothing."""
    fake = FakePlastiq()
    fake.fail_next(
        403,
        code="IP_FORBIDDEN",
        message="Not from there",
        details=["203.0.113.7", "is not listed"],
    )
    async with client_for(
        fake, Authorization="Bearer wrong", **{"Trace-Id": TRACE_ID}
    ) as client:
        response = await client.post("/client-secrets", json=body_for(fake))
    assert response.status_code == 403
    assert response.headers["Trace-Id"] == TRACE_ID
    assert "Retry-After" not in response.headers
    assert response.json() == {
        "code": "IP_FORBIDDEN",
        "message": "Not from there",
        "errors": [{"details": "203.0.113.7"}, {"details": "is not listed"}],
        "traceId": TRACE_ID,
    }
    assert len(fake.secrets) == 0
    assert len(fake.requests) == 1
    assert (await post(fake)).status_code == 200


async def test_failure_in_the_other_shape() -> None:
    """The second error body has `details` and `statusCode`."""
    fake = FakePlastiq()
    fake.fail_next(503, retry_after=1, shape="details", details=["maintenance"])
    response = await post(fake)
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    assert response.json() == {
        "code": "SERVICE_UNAVAILABLE",
        "message": "Service unavailable",
        "details": [{"details": "maintenance"}],
        "statusCode": 503,
        "traceId": response.headers["Trace-Id"],
    }


@pytest.mark.parametrize(
    ("status", "message"), [(429, "Too Many Requests"), (499, "Error")]
)
async def test_failure_without_a_generic_code(status: int, message: str) -> None:
    """A status that has no generic code gets none."""
    fake = FakePlastiq()
    fake.fail_next(status, retry_after="soon")
    response = await post(fake)
    assert response.status_code == status
    assert response.headers["Retry-After"] == "soon"
    assert response.json()["message"] == message
    assert "code" not in response.json()


async def test_failure_of_a_gateway() -> None:
    """A gateway responds with HTML or an empty body, and without a trace ID."""
    fake = FakePlastiq()
    fake.fail_next(502, shape="html")
    fake.fail_next(504, shape="empty", retry_after=2)
    page, nothing = await post(fake), await post(fake)
    assert page.status_code == 502
    assert page.headers["Content-Type"].startswith("text/html")
    assert "<h1>502 Bad Gateway</h1>" in page.text
    assert nothing.status_code == 504
    assert nothing.content == b""
    assert nothing.headers["Retry-After"] == "2"
    assert "Trace-Id" not in {**page.headers, **nothing.headers}


async def test_faults_strike_in_order() -> None:
    """Faults are first in, first out, one for each request."""
    fake = FakePlastiq()
    fake.fail_next(500, times=2)
    fake.garble_next()
    fake.fail_next(404)
    assert fake.pending_faults == 4
    statuses = [(await post(fake)).status_code for _ in range(5)]
    assert statuses == [500, 500, 200, 404, 200]
    assert fake.pending_faults == 0


async def test_failure_after_processing() -> None:
    """A request can be processed although its response is an error."""
    fake = FakePlastiq()
    fake.fail_next(502, shape="html", after_processing=True)
    assert (await post(fake)).status_code == 502
    assert len(fake.secrets) == 1
    fake.fail_next(500)
    assert (await post(fake)).status_code == 500
    assert len(fake.secrets) == 1


async def test_garbage() -> None:
    """A garbled response is sent as given, with the trace ID of its request."""
    fake = FakePlastiq()
    fake.garble_next()
    cut_off = await post(fake)
    assert cut_off.status_code == 200
    assert cut_off.headers["Content-Type"] == "application/json"
    assert UUID(cut_off.headers["Trace-Id"]) == fake.requests[0].trace_id
    with pytest.raises(json.JSONDecodeError):
        cut_off.json()
    fake.garble_next(
        b"moved",
        status=307,
        content_type="text/plain",
        headers={"trace-id": TRACE_ID, "Location": "/elsewhere"},
    )
    moved = await post(fake)
    assert (moved.status_code, moved.content) == (307, b"moved")
    assert moved.headers.get_list("Trace-Id") == [TRACE_ID]
    assert moved.headers["Content-Type"] == "text/plain"
    assert moved.headers["Location"] == "/elsewhere"
    assert len(fake.secrets) == 0


@pytest.mark.parametrize(
    "order",
    [
        lambda fake: fake.fail_next(399),
        lambda fake: fake.fail_next(600),
        lambda fake: fake.fail_next(500, shape="xml"),
        lambda fake: fake.fail_next(500, times=0),
        lambda fake: fake.garble_next(status=199),
        lambda fake: fake.garble_next(status=600),
        lambda fake: fake.delay_next(-1),
        lambda fake: fake.delay_next(float("nan")),
        lambda fake: fake.drop_next(times=0),
        lambda fake: fake.refuse_next(times=0),
    ],
)
def test_impossible_faults_are_refused(order: Callable[[FakePlastiq], None]) -> None:
    """A fault that makes no sense is refused where it is ordered."""
    fake = FakePlastiq()
    with pytest.raises(ValueError, match="must"):
        order(fake)
    assert fake.pending_faults == 0


# --- faults for one operation ---


async def statuses_of(fake: FakePlastiq, *requests: tuple[str, str]) -> list[int]:
    """Send requests without a body, and return their status codes."""
    async with client_for(fake) as client:
        return [
            (await client.request(method, path)).status_code
            for method, path in requests
        ]


async def test_fault_waits_for_its_operation() -> None:
    """A fault for one operation leaves all other requests alone."""
    fake = FakeWithWidgets()
    fake.fail_next(503, on="widgets.list", times=2)
    listing, other, unknown = ("GET", "/widgets"), ("HEAD", "/widgets"), ("GET", "/x")
    statuses = await statuses_of(fake, other, listing, unknown, listing, listing)
    assert statuses == [405, 503, 404, 503, 200]
    assert fake.pending_faults == 0


async def test_first_matching_fault_applies() -> None:
    """Faults for any request and for one operation apply in the order of asking."""
    fake = FakeWithWidgets()
    fake.fail_next(501, on="client_secrets.create")
    fake.fail_next(502)
    fake.fail_next(503, on="widgets.list")
    fake.fail_next(504)
    assert fake.pending_faults == 4
    listing = ("GET", "/widgets")
    statuses = await statuses_of(fake, listing, listing, ("GET", "/x"), listing)
    assert statuses == [502, 503, 504, 200]
    assert fake.pending_faults == 1
    assert (await post(fake)).status_code == 501


async def test_all_faults_can_be_for_one_operation() -> None:
    """Each of the five faults takes the name of an operation."""
    fake = FakeWithWidgets()
    for order in (
        partial(fake.fail_next, 503),
        fake.garble_next,
        partial(fake.delay_next, 0),
        fake.drop_next,
        fake.refuse_next,
    ):
        order(on="client_secrets.create")
    assert await statuses_of(fake, ("GET", "/widgets")) == [200]
    assert fake.pending_faults == 5
    assert [(await post(fake)).status_code for _ in range(3)] == [503, 200, 200]
    with pytest.raises(httpx.RemoteProtocolError):
        await post(fake)
    with pytest.raises(httpx.ConnectError):
        await post(fake)
    assert (len(fake.secrets), len(fake.requests), fake.pending_faults) == (1, 5, 0)


@pytest.mark.parametrize(
    "order",
    [
        lambda fake, on: fake.fail_next(503, on=on),
        lambda fake, on: fake.garble_next(on=on),
        lambda fake, on: fake.delay_next(1, on=on),
        lambda fake, on: fake.drop_next(on=on),
        lambda fake, on: fake.refuse_next(on=on),
    ],
)
def test_unknown_operation(order: Callable[[FakePlastiq, str], None]) -> None:
    """An unknown operation is refused with the names of the known ones."""
    fake = FakeWithWidgets()
    names = [route.operation for route in fake.routes]
    known = ", ".join(sorted([*names, "documents.upload"]))
    expected = re.escape(
        f"on must be the name of an operation ({known}), not 'widgets.count'"
    )
    with pytest.raises(ValueError, match=f"^{expected}$"):
        order(fake, "widgets.count")
    assert fake.pending_faults == 0


async def test_many_orders_take_one_entry() -> None:
    """The number of requests that a fault is for costs no memory."""
    fake = FakePlastiq()
    fake.fail_next(503, times=10**12)
    assert (await post(fake)).status_code == 503
    assert fake.pending_faults == 10**12 - 1


def test_no_fault_by_default() -> None:
    """A fake without orders has no fault for a request."""
    assert FakePlastiq().take_fault() is None
