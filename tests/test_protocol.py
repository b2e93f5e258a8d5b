"""Response decoding: status, headers and bytes to results and errors."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http import HTTPStatus
from types import NoneType
from typing import Any
from uuid import UUID

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from plastiq_async import errors
from plastiq_async._codec import wire
from plastiq_async._operation import Operation
from plastiq_async._protocol import (
    header_values,
    is_replay,
    is_success,
    parse_retry_after,
    parse_trace_id,
    read_result,
    status_error,
)
from plastiq_async.errors import APIResponseError, APIStatusError
from plastiq_async.models import (
    ClientSecret,
    CreateClientSecret,
    Page,
    PaymentMethod,
    ResponseInfo,
    StatusReason,
)
from tests.support.internals import make_operation, operation_for

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SENT = UUID("0b4e3c1a-5f0e-4c1d-9d56-0d4d1e6f7a80")
RETURNED = UUID("fe278caa-e01d-4910-b975-5c19c21a6d8e")
SECRET = "XYZCLIENTSECRET123"
TOKEN = "sk_live_5f0e"
PAN = "4111111111111111"
OPERATION: Operation[ClientSecret] = operation_for(
    CreateClientSecret(payer_id="8f51c396-6e29-49a6-ba5a-1a31d5420158")
)
INFO = ResponseInfo(
    status=200,
    headers={},
    trace_id=RETURNED,
    attempts=1,
    sent_at=NOW,
    elapsed=timedelta(seconds=1),
)
GENERIC = {
    "code": "VALIDATION_ERROR",
    "message": "Validation error",
    "traceId": str(RETURNED),
}
ITEMS = [{"details": "payer.id must be a UUID"}, {"details": "type must be CARD"}]
SHAPES: dict[str, dict[str, Any]] = {
    "errors": GENERIC | {"errors": ITEMS},
    "details": GENERIC | {"details": ITEMS, "statusCode": 400},
}
WRONG_VALUES: list[object] = [
    None,
    True,
    5,
    1.5,
    "",
    " \n",
    [],
    {},
    [[]],
    [None],
    [{"details": 5}],
]
NO_BODIES = [
    b"",
    b"<html><h1>502 Bad Gateway</h1></html>",
    b'{"code": "VALIDATION_',
    b"null",
    b"[]",
    b'["VALIDATION_ERROR"]',
    b'"VALIDATION_ERROR"',
    b"\xff",
    b"[" * 200_000,
]

json_bodies = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(["clientSecret", "message", "code", "errors", "details"])
            | st.text(),
            inner,
        )
    ),
    max_leaves=10,
).map(lambda body: json.dumps(body).encode())
bodies = st.binary() | json_bodies
names = st.sampled_from([b"Trace-Id", b"Retry-After"]) | st.binary()
latin_1 = st.text(st.characters(codec="latin-1"))


def headers_of(name: str, values: Iterable[str]) -> list[tuple[bytes, bytes]]:
    """Return raw headers, with unrelated ones around them."""
    pairs = [(name.encode(), value.encode("latin-1")) for value in values]
    return [(b"X-First", b"5"), *pairs, (b"X-Last", str(SENT).encode())]


def error_of(status: int, body: object, **headers: str) -> APIStatusError:
    """Return the error for a response with `body`."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    raw = [
        (name.replace("_", "-").encode(), value.encode())
        for name, value in headers.items()
    ]
    return status_error(status, raw, content, NOW)


@pytest.mark.parametrize(
    ("status", "success"),
    [(199, False), (200, True), (201, True), (299, True), (300, False), (500, False)],
)
def test_is_success(status: int, success: bool) -> None:
    """Only 2xx is a success."""
    assert is_success(status) is success


@pytest.mark.parametrize(
    ("values", "trace_id"),
    [
        ([str(RETURNED)], RETURNED),
        ([str(RETURNED).upper()], RETURNED),
        ([str(RETURNED), str(RETURNED)], RETURNED),
        ([], None),
        ([str(RETURNED), str(SENT)], None),
        ([f"{RETURNED}, {RETURNED}"], None),
        ([""], None),
        (["garbage"], None),
        ([str(UUID(int=0))], None),
    ],
)
def test_trace_id(values: list[str], trace_id: UUID | None) -> None:
    """A response has a trace ID only if all its Trace-Id headers hold one valid ID."""
    assert parse_trace_id(headers_of("Trace-Id", values)) == trace_id


def test_header_values() -> None:
    """Header names match in any case; values are separate and decoded as Latin-1."""
    headers = [(b"A-B", b"1, 2"), (b"a-c", b"x"), (b"a-b", b"\xe9")]
    assert header_values(headers, b"a-b") == ["1, 2", "\u00e9"]
    assert header_values(headers, b"a") == []


@pytest.mark.slow
@given(st.lists(latin_1 | st.just(str(RETURNED)), max_size=3))
def test_any_trace_id(values: list[str]) -> None:
    """Reading the trace ID never fails, even for malformed headers."""
    parsed = parse_trace_id(headers_of("trace-id", values))
    assert parsed is None or str(parsed) in {value.lower() for value in values}


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("007", 7.0),
        ("Thu, 01 Jan 2026 00:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 00:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 01:00:30 +0100", 30.0),
        ("Thu Jan  1 00:00:30 2026", 30.0),
        ("Thursday, 01-Jan-26 00:00:30 GMT", 30.0),
        ("Wed, 31 Dec 2025 23:59:59 GMT", 0.0),
        ("Mon, 01 Jan 1900 00:00:00 GMT", 0.0),
    ],
)
def test_retry_after(value: str, seconds: float) -> None:
    """Seconds and dates in each HTTP format become seconds, 0 or more."""
    assert parse_retry_after(headers_of("Retry-After", [value]), NOW) == seconds


@pytest.mark.parametrize(
    "values",
    [
        [],
        ["1", "1"],
        ["1", "2"],
        ["1, 2"],
        [""],
        ["-5"],
        ["+5"],
        ["nan"],
        ["inf"],
        ["1e35"],
        ["1_0"],
        ["9" * 400],
        ["9" * 5_000],
        ["\N{SUPERSCRIPT TWO}"],
        ["\xff\x00"],
        ["soon"],
        ["Thu, 41 Jan 2026 00:00:30 GMT"],
        ["Thu, 01 Jan 99999 00:00:30 GMT"],
        ["Thu, 01 Jan 2026 00:00:30 +9999999"],
        ["Thu, 01 Jan 2026"],
    ],
)
def test_no_retry_after(values: list[str]) -> None:
    """Without exactly one valid value, there is no Retry-After."""
    assert parse_retry_after(headers_of("Retry-After", values), NOW) is None


@pytest.mark.parametrize(
    ("dates", "seconds"),
    [
        # Their clock is behind ours, ahead of it, and in another zone.
        (["Wed, 31 Dec 2025 23:50:27 GMT"], 603.0),
        (["Thu, 01 Jan 2026 00:00:27 GMT"], 3.0),
        (["Thu, 01 Jan 2026 05:00:27 +0500"], 3.0),
        (["Thu, 01 Jan 2026 00:00:31 GMT"], 0.0),
        # Just within a day, and just not.
        (["Fri, 02 Jan 2026 00:00:00 GMT"], 0.0),
        (["Fri, 02 Jan 2026 00:00:01 GMT"], 30.0),
        (["Wed, 31 Dec 2025 00:00:00 GMT"], 86_430.0),
        (["Tue, 30 Dec 2025 23:59:59 GMT"], 30.0),
        # None that is valid.
        ([], 30.0),
        ([""], 30.0),
        (["yesterday"], 30.0),
        (["Thu, 01 Jan 0001 00:00:00 +2359"], 30.0),
        (["Thu, 01 Jan 2026 00:00:27 GMT"] * 2, 30.0),
    ],
)
def test_clock_of_the_server(dates: list[str], seconds: float) -> None:
    """A Retry-After date is relative to the response's Date, if that is plausible."""
    headers = headers_of("Retry-After", ["Thu, 01 Jan 2026 00:00:30 GMT"])
    headers += headers_of("date", dates)
    assert parse_retry_after(headers, NOW) == seconds


@pytest.mark.slow
@given(
    st.lists(
        latin_1
        | st.from_regex(
            r"(Thu, )?[0-9]+ (Jan|Feb) [0-9]+ [0-9]+:[0-9]+(:[0-9]+)?( [+-][0-9]+)?",
            fullmatch=True,
        ),
        max_size=2,
    )
)
def test_any_retry_after(values: list[str]) -> None:
    """Reading Retry-After never fails and never gives a negative number."""
    headers = headers_of("retry-after", values) + headers_of("Date", values[-1:])
    seconds = parse_retry_after(headers, NOW)
    assert seconds is None or 0 <= seconds < float("inf")


@given(st.datetimes(datetime(1900, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 -- as it asks
def test_any_date(moment: datetime) -> None:
    """Every date that HTTP can express is parsed, to the second."""
    moment = moment.replace(microsecond=0)
    wait = (moment - NOW).total_seconds()
    headers = headers_of("Retry-After", [format_datetime(moment, usegmt=True)])
    assert parse_retry_after(headers, NOW) == max(0.0, wait)


@pytest.mark.parametrize(
    ("status", "cls"),
    [
        (100, errors.APIStatusError),
        (307, errors.APIStatusError),
        (400, errors.BadRequestError),
        (401, errors.AuthenticationError),
        (403, errors.PermissionDeniedError),
        (404, errors.NotFoundError),
        (408, errors.APIStatusError),
        (409, errors.ConflictError),
        (422, errors.UnprocessableEntityError),
        (429, errors.RateLimitError),
        (499, errors.APIStatusError),
        (500, errors.InternalServerError),
        (502, errors.InternalServerError),
        (503, errors.ServiceUnavailableError),
        (504, errors.InternalServerError),
        (599, errors.InternalServerError),
        (999, errors.InternalServerError),
    ],
)
@pytest.mark.parametrize("body", [SHAPES["errors"], b""], ids=["API", "gateway"])
def test_class_of_status(status: int, cls: type[APIStatusError], body: object) -> None:
    """The status code alone determines the class of the error."""
    error = error_of(status, body)
    assert type(error) is cls
    assert error.status_code == status


@pytest.mark.parametrize("shape", SHAPES)
def test_shape(shape: str) -> None:
    """Both shapes of the error body are parsed."""
    error = error_of(400, SHAPES[shape], retry_after="7")
    assert (error.code, error.message) == ("VALIDATION_ERROR", "Validation error")
    assert error.details == ("payer.id must be a UUID", "type must be CARD")
    assert (error.trace_id, error.retry_after) == (RETURNED, 7.0)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("missing", ["code", "message", "traceId", "errors", "details"])
def test_missing_field(shape: str, missing: str) -> None:
    """A missing field does not affect the other fields."""
    whole = error_of(400, SHAPES[shape])
    left = {name: value for name, value in SHAPES[shape].items() if name != missing}
    error = error_of(400, left)
    assert error.code == (None if missing == "code" else whole.code)
    assert error.message == ("Bad Request" if missing == "message" else whole.message)
    assert error.trace_id == (None if missing == "traceId" else whole.trace_id)
    assert error.details == (() if missing == shape else whole.details)


@pytest.mark.parametrize("name", ["code", "message", "traceId", "errors", "details"])
@pytest.mark.parametrize("value", WRONG_VALUES, ids=repr)
def test_wrong_field(name: str, value: object) -> None:
    """A field of the wrong type counts as missing."""
    error = error_of(400, {name: value})
    assert (error.code, error.message, error.details) == (None, "Bad Request", ())
    assert error.trace_id is None


def test_details_as_texts() -> None:
    """Details may be strings instead of objects, or a mixture."""
    body = {"details": ["a", {"details": "b"}, {}, None, " "]}
    assert error_of(400, body).details == ("a", "b")


@pytest.mark.parametrize("empty", [None, [], {}, "", 0, False])
def test_empty_errors(empty: object) -> None:
    """If one list of errors is empty, the other is used."""
    body = {"errors": empty, "details": ITEMS[:1]}
    assert error_of(400, body).details == ("payer.id must be a UUID",)


@pytest.mark.parametrize("content", NO_BODIES, ids=lambda content: repr(content[:20]))
def test_no_error_body(content: bytes) -> None:
    """Without an API error body, the error is built from the status code alone."""
    error = error_of(502, content, trace_id=str(RETURNED))
    assert str(error) == "502: Bad Gateway"
    assert (error.code, error.details) == (None, ())
    assert error.trace_id == RETURNED
    assert error.__cause__ is error.__context__ is None


def test_unknown_status() -> None:
    """An unregistered status code has an error message, too."""
    assert str(error_of(599, b"")) == "599: unknown status"


@pytest.mark.parametrize("status", [400, 404, 408, 429, 500, 503])
def test_known_status(status: int) -> None:
    """Without a message, the error uses the reason phrase of the status code."""
    assert error_of(status, b"").message == HTTPStatus(status).phrase


def test_trace_id_of_header_first() -> None:
    """The trace ID in the header takes precedence over the one in the body."""
    assert error_of(400, SHAPES["errors"], trace_id=str(SENT)).trace_id == SENT


@pytest.mark.parametrize("name", ["message", "code", "details"])
def test_texts_are_tamed(name: str) -> None:
    """A text from the server becomes one printable line of bounded length."""
    text = "\n\x1b[31m evil\0\u202e\ud800" + "x" * 10_000
    body = {name: [text] * 1_000 if name == "details" else text}
    error = error_of(400, body)
    for part in (error.message, error.code or "", *error.details):
        assert part.isprintable()
        assert part == part.strip()
        assert len(part) <= 500
    assert "evil" in str(error)
    assert len(error.details) <= 20
    assert str(error).isprintable()


def masked_error(text: str, *, shape: str = "errors", **masked: Any) -> APIStatusError:
    """Return the error for a response that has `text` in each of its fields."""
    body = {"code": text, "message": text, shape: [{"details": text}, text]}
    return status_error(400, [], json.dumps(body).encode(), NOW, **masked)


def texts_of(error: APIStatusError) -> set[str | None]:
    """Return the texts of the server in `error`."""
    return {error.code, error.message, *error.details}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"bad token {TOKEN}", "bad token (access token)"),
        (f"{TOKEN}, {TOKEN}!", "(access token), (access token)!"),
        (f"Bearer:{TOKEN}x", "Bearer:(access token)x"),
        ("sk_live", "sk_live"),
        (f"card {PAN} declined", "card (masked) declined"),
        ("card 4111 1111-1111 1111 declined", "card (masked) declined"),
        (f"cvv 123 of {PAN}", "cvv (masked) of (masked)"),
        ("the last four are 1111", "the last four are 1111"),
        ("code 1234, item A123", "code 1234, item A123"),
        (f"payer {RETURNED}", f"payer {RETURNED}"),
        ("x" * 450 + f" {PAN} " + "x" * 100, "x" * 450 + " (masked) " + "x" * 40),
        ("x" * 490 + f" {PAN}", "x" * 490 + " (masked)"),
    ],
    ids=lambda text: text[:20],
)
def test_secrets_are_masked(shape: str, text: str, shown: str) -> None:
    """The token and secrets are masked in each text before it is truncated."""
    error = masked_error(text, shape=shape, token=TOKEN, secrets={PAN, "123"})
    assert texts_of(error) == {shown}
    assert error.details == (shown, shown)


def test_nothing_to_mask() -> None:
    """Without a token and secrets, texts are unchanged."""
    text = f"{TOKEN} {PAN} (masked)"
    assert texts_of(masked_error(text)) == {text}
    assert texts_of(masked_error(text, token="", secrets=frozenset())) == {text}


@pytest.mark.parametrize("content", NO_BODIES, ids=lambda content: repr(content[:20]))
def test_nothing_of_a_gateway_is_masked(content: bytes) -> None:
    """The reason phrase is not masked, because it does not come from the server."""
    error = status_error(502, [], content, NOW, token="Bad", secrets={"Gateway"})
    assert error.message == "Bad Gateway"


@given(text=st.text(max_size=40), token=st.text("abc-._", min_size=5, max_size=9))
def test_no_token_survives(text: str, token: str) -> None:
    """The error never holds the token, wherever it occurs in a text."""
    error = masked_error(f"{text}{token}{text}", token=token)
    assert all(token not in (shown or "") for shown in texts_of(error))


@pytest.mark.parametrize(
    ("values", "replayed"),
    [
        ([], False),
        (["true"], True),
        (["True"], True),
        ([" TRUE "], True),
        (["false"], False),
        ([""], False),
        (["1"], False),
        (["yes"], False),
        (["true, true"], False),
        (["true", "true"], False),
        (["true", "false"], False),
        (["\xff"], False),
    ],
)
def test_replay(values: list[str], replayed: bool) -> None:
    """A response is a replay if exactly one header says so, and the error shows it."""
    headers = headers_of("Idempotent-Replay", values)
    assert is_replay(headers) is replayed
    for status in (302, 400, 409, 503):
        assert status_error(status, headers, b"", NOW).replayed is replayed


@pytest.mark.slow
@given(st.integers(100, 999), st.lists(st.tuples(names, st.binary())), bodies)
def test_any_error_response(
    status: int, headers: list[tuple[bytes, bytes]], content: bytes
) -> None:
    """Any status code, headers and bytes give an error of that status code."""
    error = status_error(status, headers, content, NOW)
    assert error.status_code == status
    assert error.message
    assert str(error).isprintable()


def test_result() -> None:
    """A 2xx response becomes the result, timed from before the request was sent."""
    secret = read_result(OPERATION, json.dumps({"clientSecret": SECRET}).encode(), INFO)
    assert secret == ClientSecret(
        client_secret=SECRET, trace_id=RETURNED, issued_at=NOW, response=INFO
    )
    assert secret.response is INFO


def test_quotes_in_a_result() -> None:
    """Where the server explains a status, it may quote secrets of the request."""
    reasons = [{"code": "A", "message": f"card {PAN} of {RETURNED}"}, {}]
    content = json.dumps({"id": str(RETURNED), "statusReasons": reasons}).encode()
    operation = make_operation(result=PaymentMethod)
    masked = read_result(operation, content, INFO, secrets={PAN, "A"})
    assert masked.status_reasons == (
        StatusReason(code="(masked)", message=f"card (masked) of {RETURNED}"),
        StatusReason(),
    )
    shown = read_result(operation, content, INFO)
    assert shown.status_reasons[0].message == f"card {PAN} of {RETURNED}"


def test_token_in_a_result() -> None:
    """Where the server explains a status, it may repeat the token, on any page."""
    message = f"token\n{TOKEN}{'.' * 1000}"
    one = {"id": str(RETURNED), "statusReasons": [{"message": message}]}
    kinds: list[tuple[Any, object]] = [
        (PaymentMethod, one),
        (Page[PaymentMethod], {"data": [one, {"id": str(SENT)}]}),
    ]
    for kind, body in kinds:
        operation = make_operation(result=kind)
        content = json.dumps(body).encode()
        result = read_result(operation, content, INFO, token=TOKEN)
        first = result.data[0] if kind is not PaymentMethod else result
        shown = first.status_reasons[0].message
        assert shown.startswith("token (access token)...")
        assert len(shown) < len(message)
        assert TOKEN not in repr(result)


@attrs.frozen(kw_only=True)
class Thing:
    """A result with an ID and a reference."""

    id: UUID
    payer_id: UUID | None = attrs.field(default=None, metadata=wire("payer.id"))
    response: ResponseInfo = attrs.field(repr=False, eq=False)


def test_expected_result() -> None:
    """What was asked for passes, and so does what the server leaves out."""
    expected = {"id": RETURNED, "payer_id": SENT}
    operation = make_operation(result=Thing, expected=expected)
    for payer in ({"payer": {"id": str(SENT)}}, {"payer": None}, {}):
        content = json.dumps({"id": str(RETURNED), **payer}).encode()
        assert read_result(operation, content, INFO).id == RETURNED


@pytest.mark.parametrize(
    ("name", "id_", "payer"), [("id", SENT, SENT), ("payer_id", RETURNED, RETURNED)]
)
def test_another_result(name: str, id_: UUID, payer: UUID) -> None:
    """Something else than what was asked for is refused, without showing it."""
    expected = {"id": RETURNED, "payer_id": SENT}
    operation = make_operation(result=Thing, expected=expected)
    content = json.dumps({"id": str(id_), "payer": {"id": str(payer)}}).encode()
    with pytest.raises(
        APIResponseError, match=f"not the {name} that was asked"
    ) as info:
        read_result(operation, content, INFO)
    assert str(id_) not in str(info.value)


@pytest.mark.parametrize("content", [*NO_BODIES, b"{}", f'"{SECRET}"'.encode()])
def test_no_result_expected(content: bytes) -> None:
    """The body is ignored if the operation has no result."""
    assert read_result(make_operation(result=NoneType), content, INFO) is None


def test_result_with_more_fields() -> None:
    """Unknown fields, which later versions of the API may add, are ignored."""
    body = {"clientSecret": SECRET, "expiresIn": 1.5, "payer": {"id": None}}
    content = json.dumps(body).encode()
    assert read_result(OPERATION, content, INFO).client_secret == SECRET


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        *((content, "") for content in NO_BODIES),
        (f'{{"clientSecret": "{SECRET}"'.encode(), "not JSON"),
        (f'{{"clientSecret": "{SECRET}", "n": NaN}}'.encode(), "not JSON"),
        (f'"{SECRET}"'.encode(), "unexpected value @ $"),
        (b"{}", "missing @ $"),
        (f'{{"client_secret": "{SECRET}"}}'.encode(), "missing @ $"),
        (b'{"clientSecret": null}', "unexpected value @ $.clientSecret"),
        (b'{"clientSecret": ""}', "empty text @ $.clientSecret"),
        (b'{"clientSecret": 123123123}', "unexpected value @ $.clientSecret"),
        (
            f'{{"clientSecret": ["{SECRET}"]}}'.encode(),
            "unexpected value @ $.clientSecret",
        ),
        (
            f'{{"clientSecret": {{"{SECRET}": 1}}}}'.encode(),
            "unexpected value @ $.clientSecret",
        ),
    ],
    ids=lambda value: repr(value[:40]),
)
def test_unexpected_result(content: bytes, problem: str) -> None:
    """An unexpected result is rejected, and the error holds none of the data."""
    with pytest.raises(APIResponseError) as info:
        read_result(OPERATION, content, INFO)
    assert str(info.value).startswith("unexpected response with status 200: ")
    assert problem in str(info.value)
    assert info.value.status_code == 200
    assert SECRET not in str(info.value)
    assert "123123123" not in str(info.value)
    assert info.value.__cause__ is info.value.__context__ is None


@pytest.mark.slow
@given(bodies)
@example(b'{"clientSecret": "\\ud800"}')
def test_any_body(content: bytes) -> None:
    """Any bytes become a result or the one error, which holds none of the data."""
    try:
        secret = read_result(OPERATION, content, INFO)
    except APIResponseError as error:
        assert error.__cause__ is error.__context__ is None  # noqa: PT017
    else:
        assert secret.client_secret
