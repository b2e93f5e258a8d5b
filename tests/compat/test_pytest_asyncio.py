"""pytest-asyncio: an application's own tests.

They run in a process of their own, because ours belong to anyio's plugin.
"""

from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

TESTS = """
import pytest
import pytest_asyncio
from plastiq_async import PlastiqSession

@pytest_asyncio.fixture
async def plastiq(fake_plastiq):
    async with PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
    ) as session:
        yield session

@pytest.mark.asyncio
@pytest.mark.parametrize("_", range(2))
async def test_each_on_its_own_loop(plastiq, fake_plastiq, _):
    secret = await plastiq.client_secrets.create(fake_plastiq.payer_id)
    assert secret.client_secret in fake_plastiq.secrets

@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared():
    from plastiq_async.testing import FakePlastiq
    fake = FakePlastiq()
    async with PlastiqSession(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    ) as session:
        yield session, fake

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("_", range(2))
async def test_on_one_loop(shared, _):
    plastiq, fake = shared
    await plastiq.client_secrets.create(fake.payer_id)
"""


@pytest.mark.parametrize("mode", ["auto", "strict"])
def test_sessions_in_fixtures(mode: str, pytester: pytest.Pytester) -> None:
    """A fixture opens a session on the event loop of the tests, and closes it there."""
    pytester.makeini(
        f"""
        [pytest]
        asyncio_mode = {mode}
        asyncio_default_fixture_loop_scope = function
        filterwarnings = error
        """
    )
    pytester.makepyfile(TESTS)
    pytester.runpytest_subprocess().assert_outcomes(passed=4)
