"""Methods of resources that a test replaces; none of the calls sends a request."""

from __future__ import annotations

from unittest.mock import AsyncMock, create_autospec, patch

import pytest

from plastiq_async import ClientSecret, ClientSecrets, Page, PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests._resources.widgets import SessionWithWidgets
from tests.support.models import make_info
from tests.support.sessions import PAYER, fake_session

SECRET = ClientSecret(client_secret="a-stub", response=make_info())


@pytest.fixture
def fake() -> FakePlastiq:
    """Return a fake that no request may reach."""
    return FakePlastiq()


@pytest.fixture
def session(fake: FakePlastiq) -> PlastiqSession:
    """Return a session with the fake; it needs no closing."""
    return fake_session(fake)


def test_one_object_per_resource(session: PlastiqSession) -> None:
    """A session has one object per resource, and a view has its own."""
    view = session.with_options(timeout=5)
    for one in (session, view):
        assert one.client_secrets is one.client_secrets
    assert view.client_secrets is not session.client_secrets
    assert type(view.client_secrets) is ClientSecrets


async def test_patch_object(session: PlastiqSession, fake: FakePlastiq) -> None:
    """A patched method is called in place of the real one, until the patch ends."""
    real = session.client_secrets.create
    create = AsyncMock(return_value=SECRET)
    with patch.object(session.client_secrets, "create", create):
        assert await session.client_secrets.create(PAYER) is SECRET
    create.assert_awaited_once_with(PAYER)
    assert session.client_secrets.create == real
    assert fake.requests == []


async def test_patch_with_a_spec(session: PlastiqSession) -> None:
    """A stub with the signature of the method refuses what the method would refuse."""
    with patch.object(session.client_secrets, "create", autospec=True) as create:
        create.return_value = SECRET
        assert await session.client_secrets.create(PAYER, timeout=5) is SECRET
        with pytest.raises(TypeError):
            await session.client_secrets.create()  # type: ignore[call-arg]


async def test_monkeypatch(
    session: PlastiqSession, fake: FakePlastiq, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stub belongs to the session or view whose resource it replaces."""
    create = AsyncMock(return_value=SECRET)
    monkeypatch.setattr(session.client_secrets, "create", create)
    view = session.with_options(timeout=5)
    assert (await view.client_secrets.create(PAYER)).client_secret != "a-stub"
    assert len(fake.requests) == 1
    monkeypatch.setattr(view.client_secrets, "create", create)
    assert await view.client_secrets.create(PAYER) is SECRET
    assert len(fake.requests) == 1


async def test_replaced_resource(session: PlastiqSession) -> None:
    """A whole resource can be replaced by one with the same methods."""
    stub = create_autospec(ClientSecrets, instance=True)
    stub.create.return_value = SECRET
    session.client_secrets = stub
    assert await session.client_secrets.create(PAYER) is SECRET
    with pytest.raises(AttributeError):
        stub.nothing()


async def test_replaced_session(session: PlastiqSession) -> None:
    """A mock of a session has its resources, with awaitable methods."""
    stub = create_autospec(session)
    stub.client_secrets.create.return_value = SECRET
    assert await stub.client_secrets.create(PAYER) is SECRET
    with pytest.raises(TypeError):
        stub.client_secrets.create(PAYER, "CARD")
    assert isinstance(stub, PlastiqSession)


async def test_listing(fake: FakePlastiq) -> None:
    """A listing can be replaced, too."""
    session = SessionWithWidgets(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    )
    page = Page[object](data=(), response=make_info())
    with patch.object(session.widgets, "list", AsyncMock(return_value=page)):
        assert await session.widgets.list(PAYER) is page
    assert fake.requests == []


def test_view_of_a_subclass(fake: FakePlastiq) -> None:
    """A view is of the session's own class, and so is what the session enters as."""
    session = SessionWithWidgets(
        fake.access_token, base_url=fake.base_url, transport=fake.transport
    )
    view = session.with_options(max_retries=0).with_options(timeout=5)
    assert type(view) is SessionWithWidgets
    assert view.widgets is not session.widgets
