"""The transport: connections that fail without a socket."""

from __future__ import annotations

import anyio
import httpx
import pytest

from plastiq_async.testing import FakePlastiq


def request_for(
    fake: FakePlastiq, *, read_timeout: float | None = None
) -> httpx.Request:
    """Make a valid request."""
    return httpx.Request(
        "POST",
        f"{fake.base_url}/client-secrets",
        json={"payer": {"id": str(fake.payer_id)}},
        headers={
            "Authorization": f"Bearer {fake.access_token}",
            "User-Agent": "a browser",
        },
        extensions={"timeout": {"read": read_timeout}},
    )


async def test_request_reaches_the_fake() -> None:
    """A request to any host reaches the fake."""
    fake = FakePlastiq()
    request = request_for(fake)
    request.url = request.url.copy_with(scheme="https", host="connect.example")
    response = await fake.transport.handle_async_request(request)
    assert response.status_code == 200
    assert len(fake.secrets) == 1


async def test_bare_request_is_enough() -> None:
    """A request without httpx's extensions is served, too."""
    fake = FakePlastiq()
    request = httpx.Request("GET", f"{fake.base_url}/nowhere")
    response = await fake.transport.handle_async_request(request)
    assert response.status_code == 404


async def test_dropped_before_processing() -> None:
    """A dropped request is recorded, but not processed."""
    fake = FakePlastiq()
    fake.drop_next()
    request = request_for(fake)
    with pytest.raises(httpx.RemoteProtocolError) as info:
        await fake.transport.handle_async_request(request)
    assert info.value.request is request
    assert info.value.__context__ is None
    assert (len(fake.requests), len(fake.secrets)) == (1, 0)


async def test_dropped_after_processing() -> None:
    """A request may be dropped once its secret exists."""
    fake = FakePlastiq()
    fake.drop_next(after_processing=True)
    with pytest.raises(httpx.ReadError):
        await fake.transport.handle_async_request(request_for(fake))
    assert (len(fake.requests), len(fake.secrets)) == (1, 1)


async def test_refused() -> None:
    """A refused connection brings nothing to the server, as often as ordered."""
    fake = FakePlastiq()
    fake.refuse_next(times=2)
    for _ in range(2):
        with pytest.raises(httpx.ConnectError):
            await fake.transport.handle_async_request(request_for(fake))
    assert fake.requests == []
    response = await fake.transport.handle_async_request(request_for(fake))
    assert response.status_code == 200


async def test_delayed_answer_arrives() -> None:
    """A delayed response comes after the delay, if the timeout allows it."""
    fake = FakePlastiq()
    fake.delay_next(0.05)
    start = anyio.current_time()
    response = await fake.transport.handle_async_request(
        request_for(fake, read_timeout=60)
    )
    assert response.status_code == 200
    assert anyio.current_time() - start >= 0.04


async def test_delay_beyond_the_read_timeout() -> None:
    """The client gives up, while the work is done all the same."""
    fake = FakePlastiq()
    fake.delay_next(3600)
    with pytest.raises(httpx.ReadTimeout):
        await fake.transport.handle_async_request(request_for(fake, read_timeout=0.01))
    assert (len(fake.requests), len(fake.secrets)) == (1, 1)


async def test_delay_yields_to_an_outer_deadline() -> None:
    """A deadline of the caller's own ends the wait as itself."""
    fake = FakePlastiq()
    fake.delay_next(3600)
    with anyio.move_on_after(0.01) as scope:
        await fake.transport.handle_async_request(request_for(fake, read_timeout=60))
    assert scope.cancelled_caught


async def test_transport_outlives_its_client() -> None:
    """A second client can use the transport that a first one has closed."""
    fake = FakePlastiq()
    for _ in range(2):
        async with httpx.AsyncClient(transport=fake.transport) as client:
            response = await client.send(request_for(fake))
            assert response.status_code == 200
