"""Sessions for the tests, with their access token and a payer ID."""

from __future__ import annotations

import ssl
from typing import Any

from plastiq_async import PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests.support.socket_server import Server

TOKEN = "token-of-the-tests"
PAYER = "8f51c396-6e29-49a6-ba5a-1a31d5420158"

# Unused over http. Loading the default CAs for each session would be slow.
ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def session_for(server: Server, **options: Any) -> PlastiqSession:
    """Return a session for `server`."""
    settings = {"base_url": server.base_url, "verify": ANY_CONTEXT, **options}
    return PlastiqSession(TOKEN, **settings)


def fake_session(fake: FakePlastiq, **options: Any) -> PlastiqSession:
    """Return a session for a fake server; in memory, it need not be closed."""
    settings = {"base_url": fake.base_url, "transport": fake.transport, **options}
    return PlastiqSession(fake.access_token, **settings)
