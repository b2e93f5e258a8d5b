"""anyio's pytest plugin: an application's own tests."""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
from plastiq_async import PlastiqSession
from plastiq_async.testing import FakePlastiq

pytestmark = pytest.mark.anyio

@pytest.fixture(scope="module", params=["asyncio", "trio"])
def anyio_backend(request):
    return request.param

@pytest.fixture
async def plastiq(fake_plastiq):
    async with PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
    ) as session:
        yield session

@pytest.fixture(scope="module")
async def shared(anyio_backend):
    fake = FakePlastiq()
    async with PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    ) as session:
        yield session, fake

async def test_own_session(plastiq, fake_plastiq):
    secret = await plastiq.client_secrets.create(fake_plastiq.payer_id)
    assert secret.client_secret in fake_plastiq.secrets

@pytest.mark.parametrize("_", range(2))
async def test_shared_session(shared, _):
    plastiq, fake = shared
    await plastiq.client_secrets.create(fake.payer_id)
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_sessions_in_fixtures(mode: str, pytester: pytest.Pytester) -> None:
    """A fixture opens a session on the event loop of the tests, and closes it there."""
    pytester.makeini(
        f"""
        [pytest]
        anyio_mode = {mode}
        filterwarnings = error
        """
    )
    pytester.makepyfile(TESTS)
    # pytest-asyncio would warn that one of its options is not set.
    result = pytester.runpytest_subprocess("-p", "no:asyncio")
    result.assert_outcomes(passed=6)
