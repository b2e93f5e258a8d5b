"""What is logged, and what never is, here and in the errors."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from collections.abc import Iterator
from uuid import uuid4

import anyio
import pytest

from plastiq_async import ConfigurationError, PlastiqError, PlastiqSession
from plastiq_async.testing import FakePlastiq
from tests.helpers import PAYER, TOKEN, session_for
from tests.servers import Connection, Request, Server, Step
from tests.steps import answer, drop, response

LOGGER = logging.getLogger("plastiq_async")


@pytest.fixture(autouse=True)
def _restore_logger() -> Iterator[None]:
    handlers, level = LOGGER.handlers[:], LOGGER.level
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return our own lines about attempts."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "plastiq_async" and record.levelno == logging.DEBUG
    ]


@pytest.mark.usefixtures("quick_retries")
async def test_line_per_attempt(
    caplog: pytest.LogCaptureFixture, fake_plastiq: FakePlastiq
) -> None:
    """Each attempt is one line at DEBUG, with no header that is not allowed."""
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
    """An attempt that ends in somebody else's exception has its line, too."""
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
    """Without DEBUG there is one line per session, and none per attempt."""
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
    """PLASTIQ_LOG writes the log to stderr, once however many the sessions."""
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
    """An application that has set up the logger keeps its own handler alone."""
    monkeypatch.setenv("PLASTIQ_LOG", "info")
    handler = logging.NullHandler()
    LOGGER.addHandler(handler)
    PlastiqSession(TOKEN, transport=FakePlastiq().transport)
    assert LOGGER.handlers == [handler]


def test_bad_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown level is refused with the known ones."""
    monkeypatch.setenv("PLASTIQ_LOG", "trace")
    with pytest.raises(ConfigurationError, match="PLASTIQ_LOG must be one of debug"):
        PlastiqSession(TOKEN)


SECRET = "XYZCLIENTSECRET123"
PASSWORD = "passw0rd"
BODY = b'{"clientSecret": "%s"}' % SECRET.encode()


def babble(connection: Connection, _: Request) -> None:
    """Answer with something that is no HTTP, and is secret."""
    connection.send(BODY + b"\r\n\r\n")


def chatter(connection: Connection, request: Request) -> None:
    """Send a secret twice, though the answer has room for it once."""
    connection.send(response(request, body=BODY) + BODY)


def stop_short(connection: Connection, request: Request) -> None:
    """Send less than was announced."""
    headers = [("Content-Length", "99")]
    connection.send(response(request, body=BODY, headers=headers))
    connection.close()


SCENARIOS = [
    pytest.param([answer(body=BODY)], id="good"),
    pytest.param([answer(503), drop, answer(body=BODY)], id="retried"),
    pytest.param([answer(401, BODY)], id="401"),
    pytest.param([answer(body=BODY, trace_id=str(uuid4()))], id="foreign"),
    pytest.param([answer(body=BODY[:-1])], id="malformed"),
    pytest.param([answer(body=b'{"clientSecret": ["XYZCLIENTSECRET123"]}')], id="type"),
    pytest.param(
        [answer(body=BODY, headers=[("Content-Encoding", "gzip")])], id="gzip"
    ),
    pytest.param([stop_short], id="short"),
    pytest.param([babble], id="no-http"),
    pytest.param([chatter], id="surplus"),
]


def texts_of(error: BaseException | None) -> Iterator[str]:
    """Give all that an error and those behind it could be asked for."""
    if error is not None:
        yield from (str(error), repr(error), repr(error.args), repr(vars(error)))
        yield from traceback.format_exception(error)
        if isinstance(error, PlastiqError):
            yield pickle.dumps(error).decode("latin-1")
        yield from texts_of(error.__cause__)
        yield from texts_of(error.__context__)


@pytest.mark.usefixtures("quick_retries")
@pytest.mark.parametrize("steps", SCENARIOS)
async def test_no_secret_anywhere(
    steps: list[Step], caplog: pytest.LogCaptureFixture
) -> None:
    """Token, client secret and proxy password are in no log, repr or error."""
    caplog.set_level(logging.DEBUG)
    for name in ("plastiq_async", "httpx", "httpcore", "stamina"):
        caplog.set_level(logging.DEBUG, name)
    shown: list[str] = []

    async def call(session: PlastiqSession) -> None:
        try:
            secret = await session.client_secrets.create(PAYER, timeout=5)
        except PlastiqError as error:
            shown.extend(texts_of(error))
        else:
            shown.extend([repr(secret), str(secret), repr(secret.response)])

    with Server(*steps) as server:
        proxy = server.url.replace("//", f"//user:{PASSWORD}@")
        async with session_for(server, proxy=proxy) as session:
            for _ in range(2):
                await call(session)
                # What is on its way arrives before the connection is used again.
                await anyio.sleep(0.01)
            shown += [repr(session), str(session), repr(session.client_secrets)]
    assert server.requests[0].header("Authorization") == f"Bearer {TOKEN}"
    shown += [record.getMessage() for record in caplog.records]
    shown += [repr(vars(record)) for record in caplog.records]
    assert {"plastiq_async", "httpcore.http11"} <= {r.name for r in caplog.records}
    for text in shown:
        for secret in (TOKEN, SECRET, PASSWORD):
            assert secret not in text
