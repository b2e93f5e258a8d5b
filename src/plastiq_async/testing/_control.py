"""`Control`, the HTTP endpoints with which other programs control a fake.

They serve tests that are not written in Python, and only on loopback. A body is a
JSON object, sent with `Content-Type: application/json`:

- `POST /_sandbox/faults` orders a fault. `fault` is `"fail"`, `"garble"`, `"delay"`,
  `"drop"` or `"refuse"`. The other fields are the arguments of the method of
  `FakePlastiq` with this name, such as `fail_next`, in camelCase:
  `{"fault": "fail", "status": 503, "retryAfter": 1, "times": 2}`.
- `POST /_sandbox/redeem` uses up a client secret without adding a card:
  `{"clientSecret": "..."}`. The response contains its `payerId`. It is a 404 if the
  secret is unknown, a 409 if it was used and a 410 if it has expired.
- `POST /_sandbox/tokenize` adds a card as the vendor's script in the browser does:
  `{"clientSecret": "...", "data": {"accountNumber": "4000000000000002"}}`. `data` has
  the fields of a card in `POST /payment-methods`; those left out are those of a Visa
  card that has not expired. The response contains the `paymentMethodId`. It is a 400 if
  the card is refused, which uses up the secret, and otherwise as for `redeem`.
- `POST /_sandbox/advance` sets the status of a payment:
  `{"paymentId": "...", "status": "DEPOSITED"}`.
- `GET /_sandbox/requests` returns the last requests, 100 or `?limit=`, oldest first,
  without headers that contain credentials.
- `POST /_sandbox/reset` returns to the initial state. It needs no body.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from uuid import uuid4

import attrs
from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from plastiq_async.testing._checks import (
    MAX_BODY_BYTES,
    check_body,
    check_fields,
    check_query,
    is_json,
    require_integer,
    require_object,
    require_uuid,
)
from plastiq_async.testing._errors import ApiError, NotFoundError, ValidationError
from plastiq_async.testing._fake import FakePlastiq
from plastiq_async.testing._fault_orders import order_fault
from plastiq_async.testing._messages import ApiResponse
from plastiq_async.testing._receiver import read_body
from plastiq_async.testing._records import RecordedRequest
from plastiq_async.testing._responses import error_response, http_response
from plastiq_async.testing._secrets import (
    RedeemError,
    SecretExpiredError,
    SecretUnknownError,
    SecretUsedError,
)

__all__ = ["CONTROL_PREFIX", "LOOPBACK_AUTHORITY", "Control"]

CONTROL_PREFIX = "/_sandbox/"
LOOPBACK_AUTHORITY = (
    r"(localhost|([a-z0-9-]+\.)+localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?"
)
"""Pattern of the hosts, with or without a port, that are on loopback."""

LOOPBACK_PEER = r"127(\.[0-9]{1,3}){3}|::1"
CREDENTIALS = ("api-key", "authorization", "cookie", "proxy-authorization")
DEFAULT_LIMIT = 100
MAX_LIMIT = 10_000

REDEEM_ERRORS: Mapping[type[RedeemError], tuple[int, str]] = {
    SecretUnknownError: (404, "SECRET_UNKNOWN"),
    SecretUsedError: (409, "SECRET_USED"),
    SecretExpiredError: (410, "SECRET_EXPIRED"),
}


@attrs.frozen(kw_only=True)
class Call:
    """A request to a control endpoint.

    Attributes:
        fake: The fake to control.
        query: Query parameters.
        body: JSON object of the body. Not in the repr.
    """

    fake: FakePlastiq
    query: Mapping[str, str]
    body: Mapping[str, object] = attrs.field(repr=False)


class Control:
    """ASGI application of the control endpoints.

    It checks the peer's address, because the fake may listen on other interfaces,
    too. It checks the `Host` header and the content type, because any web page can
    make a browser send requests to loopback. `tokenize` is checked like the others:
    pages on loopback may use it by CORS, as `make_sandbox_app` allows, and it takes a
    client secret, which only the backend of a page can have created.

    Args:
        fake: The fake to control.
    """

    def __init__(self, fake: FakePlastiq) -> None:
        self._fake = fake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one HTTP request.

        Args:
            scope: ASGI scope.
            receive: ASGI receive channel.
            send: ASGI send channel.
        """
        request = Request(scope, receive)
        trace_id = str(uuid4())
        try:
            body = await read_body(request)
        except ClientDisconnect:
            return
        try:
            response = self._respond(request, body)
        except ApiError as error:
            response = error_response(error, trace_id=trace_id)
        await http_response(response, trace_id=trace_id)(scope, receive, send)

    def _respond(self, request: Request, body: bytes) -> ApiResponse:
        _check_origin(request)
        name = request.scope["path"].removeprefix(CONTROL_PREFIX)
        if name not in ENDPOINTS:
            raise NotFoundError
        method, handler = ENDPOINTS[name]
        if request.method != method:
            raise ApiError(405, headers={"Allow": method})
        if method == "POST" and not is_json(request.headers.get("content-type", "")):
            msg = "Content-Type must be application/json"
            raise ValidationError(msg)
        if len(body) > MAX_BODY_BYTES:
            msg = f"body must not be larger than {MAX_BODY_BYTES} bytes"
            raise ValidationError(msg)
        query = {key: request.query_params.getlist(key) for key in request.query_params}
        call = Call(
            fake=self._fake,
            query=check_query(query, ("limit",) if method == "GET" else ()),
            body=check_body(body) if body else {},
        )
        return handler(call)


def _check_origin(request: Request) -> None:
    """Check that a request comes from a program on this machine."""
    if request.client is None or not re.fullmatch(LOOPBACK_PEER, request.client.host):
        msg = "the control endpoints serve clients on loopback only"
        raise ApiError(403, msg)
    # After DNS rebinding, a page's own host name leads to loopback.
    host = request.headers.get("host", "")
    if not re.fullmatch(LOOPBACK_AUTHORITY, host, re.IGNORECASE):
        msg = "Host must be a loopback host, such as 127.0.0.1 or localhost"
        raise ApiError(403, msg)


def _faults(call: Call) -> ApiResponse:
    order_fault(call.fake, call.body)
    return ApiResponse({"pendingFaults": call.fake.pending_faults})


def _redeem(call: Call) -> ApiResponse:
    check_fields(call.body, ("clientSecret",))
    client_secret = _client_secret(call)
    with _redeeming():
        payer_id = call.fake.redeem(client_secret)
    return ApiResponse({"payerId": str(payer_id)})


def _tokenize(call: Call) -> ApiResponse:
    check_fields(call.body, ("clientSecret", "data"))
    client_secret = _client_secret(call)
    card = require_object(call.body.get("data", {}), "data")
    with _redeeming(), _refusing():
        method_id = call.fake.tokenize(client_secret, card)
    return ApiResponse({"paymentMethodId": str(method_id)})


def _client_secret(call: Call) -> str:
    client_secret = call.body.get("clientSecret")
    if not isinstance(client_secret, str):
        msg = "clientSecret must be a text"
        raise ValidationError(msg)
    return client_secret


@contextmanager
def _redeeming() -> Iterator[None]:
    """Turn the error of a client secret into an error response."""
    try:
        yield
    except RedeemError as error:
        status, code = REDEEM_ERRORS[type(error)]
        raise ApiError(status, code=code, message=str(error)) from None


@contextmanager
def _refusing() -> Iterator[None]:
    """Turn the error of a method of the fake into an error response."""
    try:
        yield
    except ValueError as error:
        raise ValidationError(str(error)) from None


def _advance(call: Call) -> ApiResponse:
    check_fields(call.body, ("paymentId", "status"))
    payment_id = require_uuid(call.body.get("paymentId"), "paymentId")
    status = call.body.get("status")
    if not isinstance(status, str):
        msg = "status must be a text"
        raise ValidationError(msg)
    with _refusing():
        call.fake.advance_payment(payment_id, status)
    return ApiResponse({"paymentId": str(payment_id), "status": status})


def _requests(call: Call) -> ApiResponse:
    text = call.query.get("limit", str(DEFAULT_LIMIT))
    limit = require_integer(text, "limit", minimum=1, maximum=MAX_LIMIT)
    return ApiResponse(
        {"requests": [_as_json(request) for request in call.fake.requests[-limit:]]}
    )


def _as_json(request: RecordedRequest) -> dict[str, object]:
    headers = {
        name: value
        for name, value in request.headers.items()
        if name not in CREDENTIALS
    }
    return {
        "method": request.method,
        "path": request.path,
        "query": dict(request.query),
        "operation": request.operation,
        "traceId": str(request.trace_id),
        "headers": headers,
        "body": request.body.decode(errors="replace"),
    }


def _reset(call: Call) -> ApiResponse:
    check_fields(call.body, ())
    call.fake.reset()
    return ApiResponse(status=204)


ENDPOINTS: Mapping[str, tuple[str, Callable[[Call], ApiResponse]]] = {
    "advance": ("POST", _advance),
    "faults": ("POST", _faults),
    "redeem": ("POST", _redeem),
    "requests": ("GET", _requests),
    "reset": ("POST", _reset),
    "tokenize": ("POST", _tokenize),
}
