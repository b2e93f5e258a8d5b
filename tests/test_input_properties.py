"""Property tests of arguments: a well-formed request, or an error before sending."""

from __future__ import annotations

import enum
import json
import os
import ssl
from functools import partial
from ipaddress import ip_address
from typing import Any
from unittest import mock
from uuid import RFC_4122, UUID

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async import (
    APITimeoutError,
    ClientSecret,
    ConfigurationError,
    EndUser,
    InvalidArgumentError,
    PlastiqSession,
)
from tests.support.checks import SECRET, call_once, check_error
from tests.support.sessions import TOKEN
from tests.support.strategies import few, many, mostly
from tests.support.transports import Transport

V1 = "5b0c7a3e-93d4-11ee-b9d1-0242ac120002"
V4 = "0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80"
ANY_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


class Text(str, enum.Enum):  # noqa: UP042 -- StrEnum's str() is the value
    """Strings whose `str()` differs from their value."""

    UUID = V4
    TYPE = "CARD"
    WORD = "word"
    URL = "https://a.example"


class Array:
    """An object like a numpy array: comparisons return no bool, and hashing fails."""

    __hash__ = None  # type: ignore[assignment]  # as in Python's own lists

    def __eq__(self, other: object) -> Any:
        return self

    __ne__ = __eq__

    def __bool__(self) -> bool:
        raise ValueError


class Recorder(Transport):
    """A transport that always succeeds and records the requests."""

    def __init__(self) -> None:
        super().__init__(self._answer)
        self.requests: list[httpx.Request] = []

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, content=b'{"clientSecret": "%s"}' % SECRET.encode())


# Values that are almost valid, and words that no error may repeat.
odd = st.sampled_from(["", "\r\n", "\n", "\0", "\t", " ", "\x7f", "\u00e9", "\ud800"])
words = st.sampled_from([V4, V1, "CARD", "203.0.113.7", "fe80::1%eth0", "sandbox"])
texts = st.one_of(
    st.text(st.characters()),
    st.builds("{}{}{}".format, odd, words, odd),
    st.builds("{}{}{}".format, odd, st.just(SECRET), odd),
)
plain_values = st.one_of(
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals(),
    st.binary() | st.uuids() | st.ip_addresses(),
    st.lists(texts) | st.dictionaries(texts, texts),
)
objects = st.sampled_from([*Text, mock.ANY, Array(), object(), 10**400])
anything = mostly(texts, mostly(plain_values, objects))
visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
durations = st.floats(min_value=0, exclude_min=True) | st.integers(1)


def one_of_them(**strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw one of several arguments; only one may be bad, so that its error shows."""
    return st.sampled_from([*strategies]).flatmap(
        lambda name: st.fixed_dictionaries({name: mostly(anything, strategies[name])})
    )


def check_request(request: httpx.Request) -> None:
    """Check that a server can parse a request in only one way."""
    names = [name.lower() for name, _ in request.headers.raw]
    assert len(names) == len(set(names))
    assert {b"authorization", b"trace-id", b"user-agent", b"host"} <= set(names)
    for name, value in request.headers.raw:
        assert (name + value).decode("ascii").isprintable()
        assert value == value.strip() != b""
    assert request.headers["Content-Length"] == str(len(request.content))
    trace_id = UUID(request.headers["Trace-Id"])
    assert request.headers["Trace-Id"] == str(trace_id)
    assert (trace_id.version, trace_id.variant) == (4, RFC_4122)
    body = json.loads(request.content)
    payer_id = body["payer"]["id"]
    assert body == {"payer": {"id": str(UUID(payer_id))}, "type": "CARD"}


def same_uuid(value: Any) -> UUID:
    """Return an argument as a UUID; it may be one or its text form."""
    return value if isinstance(value, UUID) else UUID(str.__str__(value))


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@many
@given(
    arguments=one_of_them(
        payer_id=st.uuids() | st.uuids().map(lambda one: str(one).upper()),
        type=st.just("CARD"),
        trace_id=st.uuids(version=4) | st.uuids(version=4).map(str),
        timeout=durations,
        end_user=st.builds(EndUser),
    ),
    end_user=one_of_them(
        user_agent=visible, ip=st.ip_addresses().map(str), device_id=visible
    ),
)
@example(arguments={"type": mock.ANY}, end_user={})
@example(arguments={"type": Array()}, end_user={})
def test_any_arguments(
    backend: str, arguments: dict[str, Any], end_user: dict[str, Any]
) -> None:
    """Any arguments of a call are rejected or produce a well-formed request."""
    transport = Recorder()
    arguments = {"payer_id": V1} | arguments
    try:
        arguments.setdefault("end_user", EndUser(**end_user))
    except InvalidArgumentError as error:
        check_error(error)
        return
    session = PlastiqSession(TOKEN, transport=transport)
    outcome = anyio.run(partial(call_once, session, **arguments), backend=backend)
    for request in transport.requests:
        check_request(request)
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    if isinstance(outcome, ClientSecret):
        (request,) = transport.requests
        payer_id = UUID(json.loads(request.content)["payer"]["id"])
        assert payer_id == same_uuid(arguments["payer_id"])
        assert request.headers["Trace-Id"] == str(outcome.trace_id)
        if arguments.get("trace_id") is not None:
            assert outcome.trace_id == same_uuid(arguments["trace_id"])
        return
    check_error(outcome)
    if not isinstance(outcome, APITimeoutError):
        assert type(outcome) is InvalidArgumentError
        assert transport.requests == []


hosts = st.sampled_from(
    [
        *("127.0.0.1", "localhost", "[::1]", "[::1%25eth0]", "[::ffff:127.0.0.1]"),
        *("a.example", "xn--", "xn--a", "%6cocalhost", "1.2.3.4.5", "\u00e9.example"),
        *("127.0.0.1\\.a.example", "127.0.0.1@a.example", "a.example:443", "[", ""),
    ]
)
schemes = st.sampled_from(["https", "http", "HTTPS", "socks5", ""])
paths = st.sampled_from(["", "/", "/api", "/%zz"])
urls = st.builds("{}://{}{}".format, schemes, hosts, paths)


def for_environ(text: str) -> str:
    """Return the part of a text that an environment variable can hold."""
    return text.encode(errors="ignore").decode().replace("\0", "")


variables = urls | texts.map(for_environ)


@pytest.mark.slow
@many
@given(
    arguments=one_of_them(
        access_token=visible,
        environment=st.sampled_from(["sandbox", "production"]),
        base_url=urls,
        timeout=durations,
        max_retries=st.integers(0),
        max_connections=st.integers(1),
        middleware=st.just([]),
    ),
    environ=st.dictionaries(
        st.sampled_from(["ACCESS_TOKEN", "BASE_URL", "ENVIRONMENT"]).map(
            "PLASTIQ_{}".format
        ),
        variables,
        max_size=1,
    ),
)
@example(arguments={"access_token": Text.WORD}, environ={})
@example(arguments={"base_url": "https://a.example" + "/a" * 32_755}, environ={})
def test_any_settings(arguments: dict[str, Any], environ: dict[str, str]) -> None:
    """Any settings are rejected, or give a session with well-formed requests."""
    transport = Recorder()
    arguments = {"access_token": TOKEN} | arguments
    try:
        with mock.patch.dict(os.environ, environ):
            session = PlastiqSession(transport=transport, **arguments)
    except ConfigurationError as error:
        check_error(error)
        return
    outcome = anyio.run(call_once, session)
    assert isinstance(outcome, (ClientSecret, APITimeoutError))
    token = arguments["access_token"] or environ["PLASTIQ_ACCESS_TOKEN"]
    for request in transport.requests:
        check_request(request)
        assert request.headers["Authorization"] == "Bearer " + str.__str__(token)
        if request.url.scheme != "https":
            host = request.url.host
            assert host == "localhost" or ip_address(host).is_loopback


@pytest.mark.slow
@few
@given(
    arguments=one_of_them(
        transport=st.sampled_from(["httpx", "aiohttp"]),
        verify=st.just(ANY_CONTEXT),
        proxy=urls,
    ),
    others=st.fixed_dictionaries(
        {
            "transport": st.sampled_from(["httpx", "aiohttp"]),
            "verify": st.sampled_from([True, ANY_CONTEXT]),
        }
    ),
    environ=st.dictionaries(
        st.sampled_from(["SSL_CERT_FILE", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"]),
        variables,
        max_size=1,
    ),
)
@example(arguments={"transport": Array()}, others={}, environ={})
def test_any_transport(
    arguments: dict[str, Any], others: dict[str, Any], environ: dict[str, str]
) -> None:
    """Any transport settings are rejected or give a session."""
    try:
        with mock.patch.dict(os.environ, environ):
            session = PlastiqSession(TOKEN, **others | arguments)
    except ConfigurationError as error:
        check_error(error)
    else:
        anyio.run(session.aclose)
