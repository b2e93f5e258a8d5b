"""Both kinds of database, each with an empty table."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

import outbox
from outbox import Sessions, create_table, open_database
from tests.support.postgresql import postgresql


@pytest.fixture
def anyio_backend() -> str:
    """Run on asyncio only, because SQLAlchemy requires it."""
    return "asyncio"


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """Run PostgreSQL for all tests."""
    with postgresql() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the address of each kind of database."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("server"))
    return f"sqlite+aiosqlite:///{tmp_path}/orders.db?timeout=60"


@pytest.fixture
async def sessions(database_url: str) -> AsyncIterator[Sessions]:
    """Connect to a database with an empty table."""
    async with open_database(database_url) as sessions:
        await create_table(sessions)
        yield sessions
        async with sessions.begin() as database:
            connection = await database.connection()
            await connection.run_sync(outbox.Base.metadata.drop_all)
