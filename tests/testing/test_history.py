"""What a fake keeps, and how much of it."""

from __future__ import annotations

import pytest

from plastiq_async.testing import FakePlastiq, SecretUnknownError
from tests.testing.calls import create


@pytest.mark.parametrize("history", [0, -1])
def test_history_must_be_positive(history: int) -> None:
    """A fake that would keep nothing is refused."""
    with pytest.raises(ValueError, match=f"at least 1, not {history}"):
        FakePlastiq(history=history)


@pytest.mark.parametrize("history", [1, 3])
async def test_history_is_bounded(history: int) -> None:
    """Only the last requests and secrets are kept, however many there are."""
    fake = FakePlastiq(history=history)
    requests = fake.requests
    values = [await create(fake) for _ in range(10)]
    assert len(fake.requests) == len(fake.secrets) == history
    assert list(fake.secrets) == values[-history:]
    assert [request.trace_id for request in fake.requests] == [
        secret.trace_id for secret in fake.secrets.values()
    ]
    assert fake.requests is requests
    assert fake.redeem(values[-1]) == fake.payer_id
    with pytest.raises(SecretUnknownError):
        fake.redeem(values[0])


async def test_default_history() -> None:
    """By default 10,000 requests and as many secrets are kept."""
    fake = FakePlastiq()
    await create(fake)
    request = fake.requests[0]
    for _ in range(10_000):
        fake._state.record(request)
        fake.secrets.issue(payer_id=fake.payer_id, trace_id=request.trace_id)
    assert len(fake.requests) == len(fake.secrets) == 10_000


async def test_requests_are_a_list() -> None:
    """Tests can slice, compare and clear the requests."""
    fake = FakePlastiq()
    for _ in range(3):
        await create(fake)
    first, second, third = fake.requests
    assert fake.requests == [first, second, third]
    assert fake.requests[1:] == [second, third]
    assert fake.requests[-1] is third
    fake.requests.clear()
    await create(fake)
    assert len(fake.requests) == 1


async def test_redeemed_secret_keeps_its_age() -> None:
    """Using a secret does not make it a newer one."""
    fake = FakePlastiq(history=2)
    first, second = await create(fake), await create(fake)
    fake.redeem(first)
    third = await create(fake)
    assert list(fake.secrets) == [second, third]
