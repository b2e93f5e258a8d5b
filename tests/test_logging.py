"""Log records and their levels; `tests.faults` tests what is never logged."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from uuid import uuid4

import pytest

from plastiq_async import ConfigurationError, PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests.support.sessions import PAYER, TOKEN

LOGGER = logging.getLogger("plastiq_async")


@pytest.fixture(autouse=True)
def _restore_logger() -> Iterator[None]:
    handlers, level = LOGGER.handlers[:], LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own log lines about attempts."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno == logging.DEBUG
    ]


@pytest.mark.usefixtures("quick_retries")
async def test_line_per_attempt(
    caplog: pytest.LogCaptureFixture, fake_plastiq: FakePlastiq
) -> None:
    """Each attempt is one line at DEBUG, with allowed headers only."""
    caplog.set_level(logging.DEBUG, "plastiq_async")
    fake_plastiq.fail_next(503, retry_after=7)
    fake_plastiq.drop_next()
    trace_id = uuid4()
    async with PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
    ) as session:
        await session.client_secrets.create(PAYER, trace_id=trace_id)
    start = r"POST /client-secrets -> "
    end = rf"elapsed=\d+\.\d{{3}}s trace_id={trace_id}"
    json = re.escape(" content-type='application/json'")
    expected = [
        f"{start}503 attempt=1 {end}{json} retry-after='7'",
        f"{start}APIConnectionError attempt=2 {end}",
        f"{start}200 attempt=3 {end}{json}",
    ]
    lines = lines_of(caplog)
    assert len(lines) == 3
    for line, pattern in zip(lines, expected, strict=True):
        assert re.fullmatch(pattern, line)


async def test_abandoned_attempt(caplog: pytest.LogCaptureFixture) -> None:
    """An attempt that ends in another library's exception is logged, too."""
    caplog.set_level(logging.DEBUG, "plastiq_async")

    async def provide() -> str:
        raise ZeroDivisionError

    async with PlastiqSession(provide) as session:
        with pytest.raises(ZeroDivisionError):
            await session.client_secrets.create(PAYER)
    (line,) = lines_of(caplog)
    assert " -> abandoned attempt=1 " in line


async def test_quiet_by_default(
    caplog: pytest.LogCaptureFixture, fake_plastiq: FakePlastiq
) -> None:
    """Without DEBUG there is one line per session and none per attempt."""
    caplog.set_level(logging.INFO, "plastiq_async")
    async with PlastiqSession(
        fake_plastiq.access_token,
        base_url=fake_plastiq.base_url,
        transport=fake_plastiq.transport,
    ) as session:
        await session.client_secrets.create(PAYER)
    assert [record.getMessage() for record in caplog.records] == [
        f"session for {fake_plastiq.base_url}"
    ]


@pytest.mark.parametrize(
    ("value", "level"),
    [("debug", logging.DEBUG), ("INFO", logging.INFO), ("", logging.NOTSET)],
)
def test_switched_on(
    value: str,
    level: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """PLASTIQ_LOG writes the log to stderr, once for any number of sessions."""
    monkeypatch.setenv("PLASTIQ_LOG", value)
    before = len(LOGGER.handlers)
    for _ in range(2):
        PlastiqSession(TOKEN, transport=FakePlastiq().transport)
    assert LOGGER.level == level
    assert len(LOGGER.handlers) - before == bool(value)
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == (2 if value else 0)
    assert all(" plastiq_async session for https://" in line for line in errors)


def test_own_handler_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """If the application has configured the logger, no handler is added."""
    monkeypatch.setenv("PLASTIQ_LOG", "info")
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    PlastiqSession(TOKEN, transport=FakePlastiq().transport)
    assert LOGGER.handlers == [handler]


def test_bad_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown level is rejected with a list of the known ones."""
    monkeypatch.setenv("PLASTIQ_LOG", "trace")
    with pytest.raises(ConfigurationError, match="PLASTIQ_LOG must be one of debug"):
        PlastiqSession(TOKEN)
