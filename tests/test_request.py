"""Request building: paths, queries, bodies and headers."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes
from uuid import UUID

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async import ConfigurationError, EndUser, InvalidArgumentError
from plastiq_async._call import CALL_EXTENSION
from plastiq_async._request import RequestBuilder, check_headers, fill_path
from plastiq_async._validate import check_header
from tests.support.internals import KEY, make_call, make_operation
from tests.support.strategies import many

BASE_URL = "https://api.example/v2"
UNRESERVED = "-._~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
ADA = EndUser(user_agent="Ada's 1.0", ip="203.0.113.7", device_id="device-1")


def build(
    *, base_url: str = BASE_URL, end_user: EndUser | None = None, **operation: Any
) -> httpx.Request:
    """Return the request of an operation."""
    call = make_call(make_operation(**operation), end_user=end_user)
    return RequestBuilder(base_url).build(call)


def url_of(**operation: Any) -> str:
    """Return the URL of a GET."""
    return str(build(method="GET", **operation).url)


def headers_of(**options: Any) -> dict[str, str]:
    """Return the headers of a request by their lower-case names."""
    pairs = build(**options).headers.multi_items()
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


@pytest.mark.parametrize(
    ("value", "quoted"),
    [
        ("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80",) * 2,
        (UNRESERVED, UNRESERVED),
        ("/", "%2F"),
        ("a/b", "a%2Fb"),
        ("a/../b", "a%2F..%2Fb"),
        ("../a", "..%2Fa"),
        ("/..", "%2F.."),
        ("%2e", "%252e"),
        ("%2E%2E", "%252E%252E"),
        ("%2F", "%252F"),
        ("%", "%25"),
        ("?a=b", "%3Fa%3Db"),
        ("#a", "%23a"),
        ("a;b", "a%3Bb"),
        ("a:b@c", "a%3Ab%40c"),
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("\\", "%5C"),
        ("\r\n\0\x7f", "%0D%0A%00%7F"),
        ("é", "%C3%A9"),
        ("\N{FULLWIDTH SOLIDUS}", "%EF%BC%8F"),
        ("\N{SNOWMAN}", "%E2%98%83"),
        ("\U0001f600", "%F0%9F%98%80"),
        ("...", "..."),
        (" ", "%20"),
        ("{id}", "%7Bid%7D"),
    ],
)
def test_quoting(value: str, quoted: str) -> None:
    """A path parameter is percent-encoded, and the URL keeps that encoding."""
    assert fill_path("/things/{id}", {"id": value}) == f"/things/{quoted}"
    url = url_of(path="/things/{id}", path_params={"id": value})
    assert url == f"{BASE_URL}/things/{quoted}"


def test_every_character_is_quoted() -> None:
    """Every ASCII character is percent-encoded except the unreserved ones."""
    for code in range(128):
        char = chr(code)
        quoted = char if char in UNRESERVED else f"%{code:02X}"
        assert fill_path("/{id}", {"id": f"x{char}"}) == f"/x{quoted}"


def test_several_parameters() -> None:
    """Each parameter is inserted by name, even if a value contains braces."""
    path = fill_path("/a/{one}/b/{two}/{one}", {"two": "{one}", "one": "1"})
    assert path == "/a/1/b/%7Bone%7D/1"
    assert fill_path("/things", {}) == "/things"


@pytest.mark.parametrize("value", ["", ".", ".."])
def test_dot_segments(value: str) -> None:
    """A value that would lead to another path is rejected and not repeated."""
    with pytest.raises(InvalidArgumentError) as info:
        url_of(path="/things/{id}", path_params={"id": value})
    assert str(info.value) == 'path parameter id must not be empty, "." or ".."'


@pytest.mark.parametrize("query", [{}, {"limit": "1"}])
@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/things/{id}", {}),
        ("/things/{id}", {"ID": "s3cr3t"}),
        ("/things/{id}", {"id": "s3cr3t", "other": "s3cr3t"}),
        ("/things/{id}/{other}", {"id": "s3cr3t"}),
        ("/things", {"id": "s3cr3t"}),
    ],
)
def test_other_parameters(
    path: str, params: dict[str, str], query: dict[str, str]
) -> None:
    """A missing or unknown parameter is rejected, and no value is repeated."""
    for _ in range(2):  # the URL of a path without parameters is cached
        with pytest.raises(InvalidArgumentError) as info:
            url_of(path=path, path_params=params, query=query)
        assert str(info.value) == (
            f"path_params must have exactly the parameters of {path}"
        )


@pytest.mark.parametrize("value", ["\ud800", "x\udfffx", "x" * 65536], ids=ascii)
@pytest.mark.parametrize("name", ["path_params", "query"])
def test_value_that_no_url_holds(name: str, value: str) -> None:
    """A value that a URL cannot hold is rejected, and the error does not repeat it."""
    path = "/things/{id}" if name == "path_params" else "/things"
    with pytest.raises(InvalidArgumentError, match="path_params and query") as info:
        url_of(path=path, **{name: {"id": value}})
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ({"limit": "20", "offset": "0"}, "limit=20&offset=0"),
        ({"a": "1&b=2"}, "a=1%26b%3D2"),
        ({"a&b": "1"}, "a%26b=1"),
        ({"a": "1 2+3"}, "a=1%202%2B3"),
        ({"a": "/?#%2e"}, "a=%2F%3F%23%252e"),
        ({"a": "é\r\n"}, "a=%C3%A9%0D%0A"),
        ({"a": ""}, "a="),
        ({"startDate": "2026-01-01T00:00:00Z"}, "startDate=2026-01-01T00%3A00%3A00Z"),
    ],
)
def test_query(query: dict[str, str], text: str) -> None:
    """Query names and values are percent-encoded."""
    assert url_of(query=query) == f"{BASE_URL}/things?{text}"


def test_no_query() -> None:
    """Without a query there is no question mark."""
    assert url_of() == f"{BASE_URL}/things"
    assert build().url.raw_path == b"/v2/things"


segments = st.text(min_size=1).filter(lambda value: value not in {".", ".."})


@pytest.mark.slow
@many
@given(
    payer=segments,
    document=segments,
    query=st.dictionaries(st.text(min_size=1), st.text(), max_size=3),
)
@example(payer="..", document="%2e%2e", query={})
@example(payer="/", document="\\", query={"?": "#"})
@example(payer="\ud800", document="a", query={})
def test_any_parameters(payer: str, document: str, query: dict[str, str]) -> None:
    """The path has the template's segments, and decoding gives the values again."""
    texts = [payer, document, *query, *query.values()]
    path = "/payers/{payer}/documents/{document}"
    params = {"payer": payer, "document": document}
    try:
        url = build(method="GET", path=path, path_params=params, query=query).url
    except InvalidArgumentError:
        surrogate = any(0xD800 <= ord(char) < 0xE000 for char in "".join(texts))
        assert surrogate or not {payer, document}.isdisjoint({".", ".."})
        return
    assert (url.scheme, url.host, url.port) == ("https", "api.example", None)
    assert (url.fragment, url.userinfo) == ("", b"")
    raw_path, _, raw_query = url.raw_path.partition(b"?")
    decoded = [unquote_to_bytes(part).decode() for part in raw_path.split(b"/")]
    assert decoded == ["", "v2", "payers", payer, "documents", document]
    assert not {b".", b".."} & set(raw_path.split(b"/"))
    pairs = parse_qsl(raw_query.decode(), keep_blank_values=True)
    assert dict(pairs) == query
    # A proxy that decodes once more would read the same path.
    assert httpx.URL(str(url)).raw_path == url.raw_path


def test_constant_headers() -> None:
    """All requests have a Host header, and ask for uncompressed JSON."""
    headers = headers_of(method="GET", base_url="http://127.0.0.1:8000/api")
    agent = headers.pop("user-agent")
    assert agent.startswith("plastiq-async/")
    assert headers == {
        "host": "127.0.0.1:8000",
        "accept": "application/json",
        "accept-encoding": "identity",
    }


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_body(method: str) -> None:
    """GET and DELETE without a body have no body headers."""
    request = build(method=method)
    assert request.content == b""
    assert not {"content-type", "content-length", "transfer-encoding"} & set(
        request.headers
    )


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_empty_body(method: str) -> None:
    """POST and PATCH without a body send a Content-Length of 0."""
    headers = headers_of(method=method)
    assert headers["content-length"] == "0"
    assert not {"content-type", "transfer-encoding"} & headers.keys()


@pytest.mark.parametrize("method", ["GET", "POST", "PATCH", "DELETE"])
@pytest.mark.parametrize("body", [b"", b'{"a": 1}', b"\xff\0"])
def test_body(method: str, body: bytes) -> None:
    """A body is sent unchanged, with its length and content type."""
    request = build(method=method, body=body)
    assert (request.method, request.content) == (method, body)
    assert request.headers["content-length"] == str(len(body))
    assert request.headers["content-type"] == "application/json"
    assert "transfer-encoding" not in request.headers


def test_content_type() -> None:
    """The content type is the operation's."""
    headers = headers_of(body=b"x", content_type="application/merge-patch+json")
    assert headers["content-type"] == "application/merge-patch+json"


async def test_stream() -> None:
    """A transport can read the body again for each attempt."""
    request = build(body=b"abc")
    assert isinstance(request.stream, httpx.AsyncByteStream)
    for _ in range(2):
        chunks = aiter(request.stream)
        assert not hasattr(chunks, "aclose")
        assert [chunk async for chunk in chunks] == [b"abc"]


def test_idempotency_key() -> None:
    """The idempotency key is sent if there is one."""
    assert headers_of(keyed=True)["idempotency-key"] == str(KEY)
    assert "idempotency-key" not in headers_of()


@pytest.mark.parametrize(
    ("end_user", "sent"),
    [
        (EndUser(user_agent="Ada's 1.0"), {"user-agent": "Ada's 1.0"}),
        (EndUser(ip="2001:DB8::1"), {"end-user-ip": "2001:db8::1"}),
        (EndUser(device_id="device-1"), {"end-user-device-id": "device-1"}),
        (EndUser(), {}),
        (
            ADA,
            {
                "user-agent": "Ada's 1.0",
                "end-user-ip": "203.0.113.7",
                "end-user-device-id": "device-1",
            },
        ),
    ],
    ids=["user_agent", "ip", "device_id", "nothing", "all"],
)
def test_end_user(end_user: EndUser, sent: dict[str, str]) -> None:
    """Only the known attributes of the end user are sent."""
    headers = headers_of(end_user=end_user)
    shown = {
        name: headers[name] for name in headers if name.startswith(("end-", "user-"))
    }
    ours = {"user-agent": headers_of()["user-agent"]}
    assert shown == ours | sent


def test_built_headers_pass_the_check() -> None:
    """The headers of a built request pass the header check."""
    check_headers(build(body=b"x", keyed=True, end_user=ADA))


def test_call_and_timeouts() -> None:
    """The request carries its call, and has no timeout except for connecting."""
    call = make_call(make_operation())
    request = RequestBuilder(BASE_URL).build(call)
    assert request.extensions[CALL_EXTENSION] is call
    timeouts = {"connect": 5.0, "read": None, "write": None, "pool": None}
    assert request.extensions["timeout"] == timeouts


def test_requests_are_told_apart() -> None:
    """Two requests of a builder share a URL but no headers."""
    builder = RequestBuilder(BASE_URL)
    first, second = (builder.build(make_call(make_operation())) for _ in range(2))
    first.headers["X-Tenant"] = "blue"
    assert "X-Tenant" not in second.headers
    assert first.url == second.url


@pytest.mark.parametrize(
    "base_url", ["", "/v2", "https://", "https://[::1", "https://xn--\ud800/", "a\0b"]
)
def test_broken_base_url(base_url: str) -> None:
    """A base URL that httpx cannot parse, or without a host, is rejected."""
    with pytest.raises(ConfigurationError, match="valid host"):
        RequestBuilder(base_url)


def refused_by_each(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return the error of `check_header` for the first invalid one of `headers`."""
    for name, value in headers:
        try:
            check_header(name, value)
        except InvalidArgumentError as error:
            return str(error)
    return None


def refused_together(headers: list[tuple[bytes, bytes]]) -> str | None:
    """Return the error of `check_headers` for a request with `headers`."""
    request = httpx.Request("GET", BASE_URL)
    request.headers = httpx.Headers(headers)
    assert request.headers.raw == headers
    try:
        check_headers(request)
    except InvalidArgumentError as error:
        return str(error)
    return None


# Mostly characters that have a meaning in headers.
ODD = b":\r\n\0 \t\x7f\xe9aX-"
odd = st.lists(st.sampled_from(ODD), max_size=6).map(bytes)
tokens = st.from_regex(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,4}", fullmatch=True)
texts = st.from_regex(rb"[!-~]([ -~]{0,3}[!-~])?", fullmatch=True)


@pytest.mark.slow
@many
@given(
    st.lists(
        st.tuples(tokens, texts)
        | st.tuples(tokens | odd, texts | odd)
        | st.tuples(st.binary(max_size=4), st.binary(max_size=8)),
        max_size=4,
    )
)
@example([])
@example([(b"a", b"b\nc:d")])
@example([(b"a", b"b\nc\nd")])
@example([(b"a\nb", b"c")])
@example([(b"a\nb\nc", b"d")])
@example([(b"a:b", b"c")])
@example([(b"a", b"b\r\nc: d")])
@example([(b"a", b"b\n")])
@example([(b"a", b"")])
@example([(b"", b"a")])
@example([(b"a\nb", b"c"), (b"", b"")])
@example([(b"", b"a\nb"), (b"c", b"d")])
@example([(b"a", b"\n"), (b"b", b"c")])
@example([(b"a", b"\xe9")])
@example([(b"a", b"b\0c")])
def test_check_headers(headers: list[tuple[bytes, bytes]]) -> None:
    """The check of all headers gives the error of the first invalid one."""
    assert refused_together(headers) == refused_by_each(headers)


@pytest.mark.parametrize("value", ["s3cr3t\nX-Admin:1", "s3cr3t\nX-Admin\n1"])
def test_header_that_would_be_split(value: str) -> None:
    """A value cannot inject another header, and the error does not repeat it."""
    request = build()
    request.headers["X-Tenant"] = value
    with pytest.raises(InvalidArgumentError, match="the header X-Tenant") as info:
        check_headers(request)
    assert "s3cr3t" not in str(info.value)


def test_trace_id_can_be_sent() -> None:
    """A header that middleware sets as text is accepted, too."""
    request = build()
    request.headers["Trace-Id"] = str(UUID(int=5))
    check_headers(request)
