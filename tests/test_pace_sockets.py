"""The rate limit of a session against that of the fake, over sockets."""

from __future__ import annotations

import time

import anyio
import pytest

from plastiq_async import CreateClientSecret, Succeeded
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import ANY_CONTEXT, fake_session
from tests.support.uvicorn_server import in_uvicorn

pytestmark = pytest.mark.slow

REQUESTS = 400
PER_MINUTE = 1200
# The fake's minute takes ten seconds, in which the session sends at most 209 requests.
SPEED = 6
LIMIT = 240


async def test_no_request_is_refused() -> None:
    """None of many calls at once is refused, although they are more than the limit."""
    fake = FakePlastiq(clock=lambda: time.time() * SPEED)
    fake.limit_requests(LIMIT)
    requests = [CreateClientSecret(payer_id=fake.add_payer()) for _ in range(REQUESTS)]
    with in_uvicorn(fake.app) as url:
        async with fake_session(
            fake,
            base_url=f"{url}/api",
            transport="httpx",
            verify=ANY_CONTEXT,
            max_requests_per_minute=PER_MINUTE,
        ) as session:
            started = anyio.current_time()
            async with session.client_secrets.create_many(requests) as outcomes:
                results = [outcome async for outcome in outcomes]
            took = anyio.current_time() - started
    assert all(isinstance(one, Succeeded) for one in results)
    # No request was sent twice, so none got a 429.
    assert len(fake.requests) == len(fake.secrets) == REQUESTS
    assert {secret.payer_id for secret in fake.secrets.values()} == {
        request.payer_id for request in requests
    }
    # A burst of ten, and then 1190 a minute.
    assert took > (REQUESTS - 11) * 60 / (PER_MINUTE - 10)
