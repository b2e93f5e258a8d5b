"""`Resource`: tracebacks without the frames that hold arguments."""

from __future__ import annotations

import inspect
import traceback

import pytest

from plastiq_async import NotFoundError, PlastiqSession
from plastiq_async._resources.base import Resource
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, fake_session


@pytest.fixture
def session() -> PlastiqSession:
    """Return a session with a fake; it needs no closing."""
    return fake_session(FakePlastiq())


def functions_of(info: pytest.ExceptionInfo[BaseException]) -> list[str]:
    """Return the names of the functions in a traceback, the outermost first."""
    return [frame.name for frame in traceback.extract_tb(info.tb)]


async def test_refused_argument(session: PlastiqSession) -> None:
    """The traceback of a refused argument ends at the caller's line."""
    with pytest.raises(ValueError, match="payer_id") as info:
        await session.payers.retrieve("s3cr3t")
    assert functions_of(info) == ["test_refused_argument"]
    with pytest.raises(ValueError, match="limit") as info:
        session.payments.list(PAYER, limit=0)
    assert functions_of(info) == ["test_refused_argument"]
    with pytest.raises(TypeError, match="cvv") as misspelt:
        await session.payers.retrieve(PAYER, cvv="s3cr3t")  # type: ignore[call-arg]  # so
    assert functions_of(misspelt) == ["test_refused_argument"]


async def test_refused_page(session: PlastiqSession) -> None:
    """So does that of an option that a listing refuses once it asks for a page."""
    with pytest.raises(ValueError, match="timeout") as info:
        await session.payments.list(PAYER, timeout=-1)
    assert functions_of(info) == ["test_refused_page"]


async def test_failed_call(session: PlastiqSession) -> None:
    """The traceback of a failed call goes on with the frames of the pipeline."""
    with pytest.raises(NotFoundError) as info:
        await session.payments.retrieve(PAYER, PAYER)
    first, second, *_, last = functions_of(info)
    assert (first, second, last) == ("test_failed_call", "exchange", "_check_status")


def test_signatures() -> None:
    """Methods look the same as they are written, to tools and to readers."""

    class Things(Resource):
        """A resource."""

        size = 1

        async def make(self, name: str) -> str:
            """Make a thing."""
            return name

        def count(self, name: str) -> int:
            """Count things."""
            return self.size + len(name)

    assert inspect.iscoroutinefunction(Things.make)
    assert not inspect.iscoroutinefunction(Things.count)
    assert list(inspect.signature(Things.make).parameters) == ["self", "name"]
    assert Things.count.__doc__ == "Count things."
    assert Things.size == 1
