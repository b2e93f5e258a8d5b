"""Log records and their levels; `tests.faults` tests what is never logged."""

from __future__ import annotations

import io
import logging
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import pytest
import stamina

from plastiq_async import (
    APIStatusError,
    ClientSecret,
    ConfigurationError,
    PlastiqSession,
)
from plastiq_async.testing import FakePlastiq
from tests.support.internals import make_operation
from tests.support.sessions import PAYER, TOKEN, fake_session, session_for
from tests.support.socket_server import Server
from tests.support.steps import answer
from tests.support.wirings import WIRINGS

over_all = pytest.mark.parametrize(("anyio_backend", "transport"), WIRINGS)

LOGGER = logging.getLogger("plastiq_async")


@pytest.fixture(autouse=True)
def _restore_logger() -> Iterator[None]:
    handlers, level, propagate = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    yield
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)
    LOGGER.propagate = propagate


@contextmanager
def without_root_handlers() -> Iterator[None]:
    """Remove pytest's handlers, as in an application without logging."""
    root = logging.getLogger()
    saved, root.handlers = root.handlers, []
    try:
        yield
    finally:
        root.handlers = saved


def make_session() -> PlastiqSession:
    """Return a session, which logs one line at INFO; it needs no closing."""
    return fake_session(FakePlastiq())


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
@without_root_handlers()
def test_switched_on(
    value: str,
    level: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """PLASTIQ_LOG writes the log to stderr, once for any number of sessions."""
    monkeypatch.setenv("PLASTIQ_LOG", value)
    for _ in range(2):
        make_session()
    assert LOGGER.level == level
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == (2 if value else 0)
    assert all(" plastiq_async session for http://" in line for line in errors)


@without_root_handlers()
def test_stream_of_the_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A record goes to what `sys.stderr` is when it is logged."""
    monkeypatch.setenv("PLASTIQ_LOG", "info")
    streams = [io.StringIO() for _ in range(3)]
    for stream in streams:
        monkeypatch.setattr(sys, "stderr", stream)
        make_session()
        if stream is not streams[-1]:
            stream.close()
    assert streams[-1].getvalue().count(" session for ") == 1


@without_root_handlers()
@pytest.mark.parametrize("place", ["", "plastiq_async"])
@pytest.mark.parametrize("early", [True, False])
def test_nothing_twice(
    place: str,
    early: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A record that a handler of the application takes is not written again."""
    monkeypatch.setenv("PLASTIQ_LOG", "debug")
    application = io.StringIO()
    handler = logging.StreamHandler(application)
    if early:
        logging.getLogger(place).addHandler(handler)
    make_session()
    if not early:
        assert capsys.readouterr().err.count(" session for ") == 1
        logging.getLogger(place).addHandler(handler)
    make_session()
    assert application.getvalue().count("session for ") == early + 1
    assert capsys.readouterr().err == ""


@without_root_handlers()
@pytest.mark.parametrize("case", ["null", "higher level", "not reached"])
def test_nothing_lost(
    case: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record that no handler of the application takes is written."""
    monkeypatch.setenv("PLASTIQ_LOG", "info")
    application = io.StringIO()
    handler: logging.Handler = logging.StreamHandler(application)
    if case == "null":
        handler = logging.NullHandler()
    elif case == "higher level":
        handler.setLevel(logging.WARNING)
    else:
        LOGGER.propagate = False
    logging.getLogger().addHandler(handler)
    make_session()
    assert application.getvalue() == ""
    assert capsys.readouterr().err.count(" session for ") == 1


RETRY = r"client_secrets\.create: retrying in \d\.\d\d s after "


@pytest.mark.usefixtures("quick_retries")
async def test_line_per_retry(
    caplog: pytest.LogCaptureFixture, fake_plastiq: FakePlastiq
) -> None:
    """Each retry is one line: operation, wait, reason, attempt and trace ID."""
    caplog.set_level(logging.WARNING)
    fake_plastiq.refuse_next()
    fake_plastiq.fail_next(503)
    async with fake_session(fake_plastiq) as session:
        secret = await session.client_secrets.create(PAYER)
    first, second = [record.getMessage() for record in caplog.records]
    end = rf"trace ID {secret.trace_id}\]"
    call = r" \[POST /client-secrets, "
    assert re.fullmatch(rf"{RETRY}ConnectError: .+{call}1 attempt, {end}", first)
    assert re.fullmatch(rf"{RETRY}503 .+{call}2 attempts, {end}", second)
    assert {record.name for record in caplog.records} == {"plastiq_async.retries"}


# A retry, and then a warning that must not be missed.
WITHOUT_LOGGING = """
import logging, sys, anyio, plastiq_async
{prepare}

async def main():
    async with plastiq_async.PlastiqSession(
        "token", base_url="http://127.0.0.1:9/api", transport=sys.argv[1],
        timeout=5, max_retries=1,
    ) as session:
        try:
            await session.client_secrets.create("8f51c396-6e29-49a6-ba5a-1a31d5420158")
        except plastiq_async.APIConnectionError as error:
            print(error.attempts)

anyio.run(main, backend=sys.argv[2])
logging.getLogger("plastiq_async").warning("not to be missed")
logging.getLogger("plastiq_async.integrations").error("nor this")
"""


@pytest.mark.slow
@over_all
@pytest.mark.parametrize("prepare", ["", "logging.basicConfig()"])
def test_refused_connection_in_a_program(
    anyio_backend: str, transport: str, prepare: str
) -> None:
    """A retry is not reported on stderr, unless the program has configured logging."""
    code = WITHOUT_LOGGING.format(prepare=prepare)
    command = [sys.executable, "-c", code, transport, anyio_backend]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout == "2\n"
    *retries, warning, error = done.stderr.splitlines()
    assert warning.endswith("not to be missed")
    assert error.endswith("nor this")
    assert len(retries) == bool(prepare)
    for line in retries:
        assert re.match(rf"WARNING:plastiq_async\.retries:{RETRY}", line)


@pytest.mark.usefixtures("quick_retries")
async def test_retries_of_the_application(
    caplog: pytest.LogCaptureFixture, fake_plastiq: FakePlastiq
) -> None:
    """What stamina logs of an application's own retries is as it was."""
    fake_plastiq.fail_next(503)
    fake_plastiq.fail_next(503)

    @stamina.retry(on=APIStatusError, attempts=2)
    async def create() -> ClientSecret:
        return await session.client_secrets.create(PAYER)

    async with fake_session(fake_plastiq, max_retries=0) as session:
        with pytest.raises(APIStatusError):
            await create()
    (record,) = [record for record in caplog.records if record.name == "stamina"]
    name = getattr(record, "stamina.callable")
    assert name.endswith("create")


@pytest.mark.usefixtures("quick_retries")
async def test_stamina_instrumentation(fake_plastiq: FakePlastiq) -> None:
    """Stamina's hooks see our retries under the name of the operation."""
    fake_plastiq.fail_next(503)
    seen: list[stamina.instrumentation.RetryDetails] = []

    def see(details: stamina.instrumentation.RetryDetails) -> None:
        seen.append(details)

    stamina.instrumentation.set_on_retry_hooks([see])
    try:
        async with fake_session(fake_plastiq) as session:
            await session.client_secrets.create(PAYER)
    finally:
        stamina.instrumentation.set_on_retry_hooks(None)
    (details,) = seen
    assert details.name == "plastiq_async.client_secrets.create"
    assert (details.args, details.kwargs) == ((), {})


@over_all
async def test_ids_in_the_log_of_httpx(
    anyio_backend: str, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Httpx logs the template of a path, and none of the IDs in it."""
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").info("about %s", "something else")
    logging.getLogger("httpx").info("about %(name)s", {"name": "a mapping"})
    operation = make_operation(
        path="/things/{id}", path_params={"id": "s3cr3t"}, query={"payerId": "s3cr3t"}
    )
    with Server(answer(200, b"{}")) as server:
        async with session_for(server, transport=transport) as session:
            await session._pipeline.run(operation, {})
        assert server.requests[0].line == (
            "POST /api/things/s3cr3t?payerId=s3cr3t HTTP/1.1"
        )
    assert "s3cr3t" not in caplog.text
    expected = f'HTTP Request: POST {server.base_url}/things/{{id}} "HTTP/1.1 200 "'
    messages = [r.getMessage() for r in caplog.records if r.name == "httpx"]
    assert messages == ["about something else", "about a mapping", expected]


def test_bad_level(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown level is rejected with a list of the known ones."""
    monkeypatch.setenv("PLASTIQ_LOG", "trace")
    with pytest.raises(ConfigurationError, match="PLASTIQ_LOG must be one of debug"):
        PlastiqSession(TOKEN)
