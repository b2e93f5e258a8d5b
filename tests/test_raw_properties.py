"""Property tests of `session.request`: a well-formed request, or an error before it."""

from __future__ import annotations

import json
from http import HTTPMethod
from typing import Any
from unittest import mock
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import anyio
import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from plastiq_async import (
    InvalidArgumentError,
    PlastiqError,
    PlastiqSession,
    RawResponse,
)
from tests.support.checks import SECRET, check_error
from tests.support.sessions import TOKEN
from tests.support.strategies import many, mostly
from tests.support.transports import Transport

BASE_URL = "https://gateway.test/a/api"

# Errors may name members of a body and the path, but never a value.
keys = st.text(st.characters())
odd = st.sampled_from(
    ["", "\r\n", "\0", " ", "\ud800", "é", "/", "..", "?", "#", "%2e"]
)
texts = keys | st.builds("{}{}{}".format, odd, st.just(SECRET), odd)
scalars = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.decimals() | texts
) | (st.binary() | st.uuids() | st.dates() | st.datetimes())
anything = mostly(
    scalars,
    st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(keys, inner))
    | st.sampled_from([object(), mock.ANY, HTTPMethod.GET, 10**5000]),
)
paths = st.builds(
    "/{}".format,
    st.lists(st.sampled_from(["a", "{x}", ".", "..", "", "a?b", "é"]) | keys).map(
        "/".join
    ),
)
parameters = st.dictionaries(keys | st.just("x"), anything)
names = st.sampled_from(["API-Key", "X-Tenant", "Trace-Id", "trace_id", "host", "é"])
valid = {
    "method": st.sampled_from(["GET", "POST", "PATCH", "DELETE"]),
    "path": paths,
    "path_params": st.fixed_dictionaries({"x": texts}) | parameters,
    "query": parameters,
    "body": st.dictionaries(keys, anything),
    "idempotency_key": st.uuids(),
    "retry": st.sampled_from(["if_unsent", "always"]),
    "extra_headers": st.dictionaries(names | keys, texts),
}


def one_or_two() -> st.SearchStrategy[dict[str, Any]]:
    """Draw a few arguments, each of them good or bad."""
    return st.sets(st.sampled_from(sorted(valid)), min_size=1, max_size=3).flatmap(
        lambda names: st.fixed_dictionaries(
            {name: mostly(valid[name], anything) for name in names}
        )
    )


def check_request(request: httpx.Request, arguments: dict[str, Any]) -> None:
    """Check that a request is what was asked for, below the base URL."""
    names = [name.lower() for name, _ in request.headers.raw]
    assert len(names) == len(set(names))
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert UUID(request.headers["Trace-Id"]).version == 4
    assert request.headers["Host"] == "gateway.test"
    for name, value in request.headers.raw:
        assert (name + value).decode("ascii").isprintable()
    path, _, query = request.url.raw_path.decode("ascii").partition("?")
    assert path.startswith("/a/api/")
    segments = [unquote(segment) for segment in path.split("/")]
    assert not {".", ".."} & {*segments}
    assert request.url.fragment == ""
    given = arguments.get("query") or {}
    assert dict(parse_qsl(query, keep_blank_values=True)).keys() == {
        name for name, value in given.items() if value is not None
    }
    if arguments.get("body") is None:
        assert request.content == b""
    else:
        assert isinstance(json.loads(request.content), dict)


@pytest.mark.slow
@settings(many, max_examples=200)
@given(one_or_two())
@example({"path": "/{x}", "path_params": {"x": ".."}})
@example({"path": "/.{x}", "path_params": {"x": "."}})
@example({"method": mock.ANY})
@example({"path": "/a" * 40_000})
@example({"extra_headers": {"API-Key": "k3y", "API_KEY": "k3y"}})
def test_any_arguments(arguments: dict[str, Any]) -> None:
    """Any arguments are refused, or make one well-formed request below the base URL."""
    seen: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"note": SECRET})

    async def run() -> RawResponse | PlastiqError:
        transport = Transport(handle)
        async with PlastiqSession(
            TOKEN, base_url=BASE_URL, transport=transport
        ) as session:
            try:
                return await session.request(
                    **{"method": "POST", "path": "/things"} | arguments
                )
            except PlastiqError as error:
                return error

    outcome = anyio.run(run)
    if isinstance(outcome, RawResponse):
        (request,) = seen
        check_request(request, arguments)
        assert SECRET not in repr(outcome)
    else:
        assert type(outcome) is InvalidArgumentError
        assert seen == []
        check_error(outcome)
