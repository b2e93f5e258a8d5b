"""dishka: a session from a dependency injection container."""

from __future__ import annotations

from collections.abc import AsyncIterator

import attrs
from dishka import Provider, Scope, make_async_container, provide

from plastiq_async import PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import fake_session


@attrs.frozen
class Checkout:
    """A service that needs a session."""

    session: PlastiqSession

    async def start(self, payer_id: str) -> str:
        """Return a client secret."""
        return (await self.session.client_secrets.create(payer_id)).client_secret


class Services(Provider):
    """The application's services."""

    scope = Scope.APP
    checkout = provide(Checkout)

    def __init__(self, fake: FakePlastiq) -> None:
        super().__init__()
        self._fake = fake

    @provide
    async def session(self) -> AsyncIterator[PlastiqSession]:
        """Close the session with the container."""
        async with fake_session(self._fake) as session:
            yield session


async def test_provided_session(fake_plastiq: FakePlastiq) -> None:
    """The container hands out one open session, and closes it at its end."""
    container = make_async_container(Services(fake_plastiq))
    checkout = await container.get(Checkout)
    assert await checkout.start(str(fake_plastiq.payer_id)) in fake_plastiq.secrets
    session = await container.get(PlastiqSession)
    assert session is checkout.session
    await container.close()
    assert "closed" in repr(session)
