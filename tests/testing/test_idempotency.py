"""The rules of the `Idempotency-Key` header, with widgets as the example."""

from __future__ import annotations

from uuid import uuid4

import anyio
import attrs
import httpx
import pytest
import trio
import trio.testing

from plastiq_async.testing import FakePlastiq
from plastiq_async.testing._routing import (
    ApiError,
    ApiRequest,
    ApiResponse,
    FakeState,
    idempotent,
)
from tests.support.timing import eventually
from tests.testing.calls import problem
from tests.testing.widgets import WIDGET_ROUTES, FakeWithWidgets, create_widget


async def test_create_without_a_key() -> None:
    """Without an idempotency key every request creates a widget."""
    fake = FakeWithWidgets()
    first, second = await create_widget(fake), await create_widget(fake)
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] != second.json()["id"]
    assert "Idempotent-Replay" not in {**first.headers, **second.headers}
    assert fake.widgets.created == 2


@pytest.mark.parametrize("first_trace_id", [False, True])
async def test_replay(*, first_trace_id: bool) -> None:
    """The same key with the same body brings the stored status and body again."""
    fake = FakeWithWidgets()
    fake.idempotency_keys.replay_first_trace_id = first_trace_id
    key = uuid4()
    first, second = (
        await create_widget(fake, key),
        await create_widget(fake, str(key).upper()),
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert "Idempotent-Replay" not in first.headers
    assert second.headers["Idempotent-Replay"] == "true"
    assert second.headers.get_list("Trace-Id") == [
        str(fake.requests[0 if first_trace_id else 1].trace_id)
    ]
    assert fake.widgets.created == 1


async def test_replay_of_an_error() -> None:
    """An error below 500 is stored, too, with the trace ID in its body."""
    fake = FakeWithWidgets()
    key = uuid4()
    first, second = (
        await create_widget(fake, key, name=""),
        await create_widget(fake, key, name=""),
    )
    assert problem(first) == "name must be a non-empty string"
    assert (second.status_code, second.json()) == (400, first.json())
    assert second.headers["Idempotent-Replay"] == "true"


@pytest.mark.parametrize("name", ["Another", 1, 1.0, True, None])
async def test_key_with_another_body(name: object) -> None:
    """The same key with another body is a 400."""
    fake = FakeWithWidgets()
    key = uuid4()
    await create_widget(fake, key)
    response = await create_widget(fake, key, name=name)
    assert problem(response) == "Idempotency-Key was used with another body"
    assert fake.widgets.created == 1


@pytest.mark.parametrize("key", ["", "order-1", "fe278caa-e01d-1910-b975-5c19c21a6d8e"])
async def test_key_must_be_a_uuid4(key: str) -> None:
    """A key that is not a UUID version 4 is a 400."""
    fake = FakeWithWidgets()
    response = await create_widget(fake, key)
    assert problem(response) == "Idempotency-Key must be a UUID version 4"
    assert fake.widgets.created == 0


@pytest.mark.slow
async def test_key_in_flight() -> None:
    """A key is in flight while its first response is delayed, and then replays."""
    fake = FakeWithWidgets()
    fake.delay_next(1, on="widgets.create")
    key = uuid4()
    async with anyio.create_task_group() as group:
        group.start_soon(create_widget, fake, key)
        await eventually(lambda: fake.requests)
        group.cancel_scope.cancel()
    response = await create_widget(fake, key)
    assert response.status_code == 409
    body = response.json()
    assert body["errors"] == [{"details": "Idempotency-Key is in flight"}]
    assert "code" not in body
    await anyio.sleep(1)
    response = await create_widget(fake, key)
    assert response.status_code == 201
    assert response.headers["Idempotent-Replay"] == "true"
    assert fake.widgets.created == 1


def test_key_in_another_event_loop() -> None:
    """A key is not in flight because another event loop's clock is behind."""
    fake = FakeWithWidgets()
    key = uuid4()

    async def create_in_a_loop_that_runs_since(seconds: float) -> httpx.Response:
        trio.lowlevel.current_clock().jump(seconds)  # type: ignore[attr-defined]  # MockClock
        return await create_widget(fake, key)

    first, second = (
        anyio.run(
            create_in_a_loop_that_runs_since,
            seconds,
            backend="trio",
            backend_options={"clock": trio.testing.MockClock()},
        )
        for seconds in (3600.0, 0.0)
    )
    assert (first.status_code, second.status_code) == (201, 201)
    assert second.headers["Idempotent-Replay"] == "true"


async def test_server_errors_are_not_stored() -> None:
    """A response of 500 or more leaves the key unused."""
    statuses = [503, 201, 500]

    def fail_first(request: ApiRequest, state: FakeState) -> ApiResponse:
        def process() -> ApiResponse:
            status = statuses.pop(0)
            if status == 503:
                raise ApiError(status, code="MAINTENANCE", message="Later")
            return ApiResponse({}, status=status)

        return idempotent(request, state, process)

    class FailingFake(FakePlastiq):
        routes = (attrs.evolve(WIDGET_ROUTES[0], handler=fail_first),)

    fake = FailingFake()
    key = uuid4()
    first, second, third = [await create_widget(fake, key) for _ in range(3)]
    assert (first.json()["code"], first.json()["message"]) == ("MAINTENANCE", "Later")
    assert [first.status_code, second.status_code, third.status_code] == [503, 201, 201]
    assert "Idempotent-Replay" not in {**first.headers, **second.headers}
    assert third.headers["Idempotent-Replay"] == "true"
    assert statuses == [500]


async def test_ordered_failure_does_not_store() -> None:
    """A failure that a fault caused leaves the key unused."""
    fake = FakeWithWidgets()
    fake.fail_next(503, on="widgets.create")
    key = uuid4()
    statuses = [(await create_widget(fake, key)).status_code for _ in range(3)]
    assert statuses == [503, 201, 201]
    assert fake.widgets.created == 1


async def test_dropped_response_is_replayed() -> None:
    """A response that was lost after processing is replayed to the same key."""
    fake = FakeWithWidgets()
    fake.drop_next(after_processing=True)
    key = uuid4()
    with pytest.raises(httpx.ReadError):
        await create_widget(fake, key)
    response = await create_widget(fake, key)
    assert response.headers["Idempotent-Replay"] == "true"
    assert fake.widgets.created == 1


async def test_oldest_keys_are_dropped() -> None:
    """The fake keeps no more keys than its history is long."""
    fake = FakeWithWidgets(history=2)
    keys = [uuid4() for _ in range(3)]
    for key in keys:
        await create_widget(fake, key)
    replays = [
        "Idempotent-Replay" in (await create_widget(fake, key)).headers
        for key in [keys[2], keys[1], keys[0]]
    ]
    assert replays == [True, True, False]
