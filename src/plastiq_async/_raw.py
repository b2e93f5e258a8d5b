"""`RawRequests`: requests to operations for which no resource has a method."""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from typing import Any, Literal, Unpack, get_args
from uuid import UUID

from plastiq_async._codec.encode import SCALAR_WRITERS, TEXT_WRITERS, find_writer
from plastiq_async._operation import Method, Operation
from plastiq_async._pipeline import Pipeline
from plastiq_async._protocol import printable
from plastiq_async._request import fill_path
from plastiq_async._resources.base import without_frames
from plastiq_async._secrets import Body, encode_body
from plastiq_async._validate import check_choice, check_uuid4
from plastiq_async.errors import InvalidArgumentError
from plastiq_async.models.common import CallOptions
from plastiq_async.models.raw import RawResponse

# Segments of characters that a URL need not quote, and of parameters (RFC 3986).
_PATH = re.compile(r"(?!//)(?:/(?:[\w.~!$&'()*+,;=:@-]|\{\w+\})*)+", re.ASCII)
_PARAMETER_WRITERS: dict[type, Callable[[Any], str]] = {
    **TEXT_WRITERS,
    str: str.__str__,
    bool: SCALAR_WRITERS[bool],
    int: int.__repr__,
}


class RawRequests:
    """The escape hatch of a session."""

    _pipeline: Pipeline

    @without_frames
    async def request(
        self,
        method: Literal["GET", "POST", "PATCH", "DELETE"],
        path: str,
        *,
        path_params: Mapping[str, str | int | UUID | Decimal | date] | None = None,
        query: Mapping[str, str | int | UUID | Decimal | date | None] | None = None,
        body: Mapping[str, object] | None = None,
        idempotency_key: UUID | str | None = None,
        retry: Literal["if_unsent", "always"] = "if_unsent",
        **options: Unpack[CallOptions],
    ) -> RawResponse:
        """Perform an operation for which no resource has a method.

        It is a call like any other, with the session's deadline, retries, trace ID,
        middleware, limits and errors::

            response = await session.request(
                "GET", "/payers/{id}", path_params={"id": payer_id}, retry="always"
            )

        Logs, errors, spans and metrics contain `path` as it is given here. So that no
        ID reaches them, put IDs into `path_params`, not into `path`.

        Args:
            method: The HTTP method.
            path: The path template below the base URL: one leading slash, no ``..``,
                ``?`` or ``#``, and nothing that a URL has to quote.
            path_params: The values of the parameters of `path`. Each is quoted whole.
            query: The query parameters. None leaves one out.
            body: The members of the JSON body, under their names in the API. As in all
                requests, a `Decimal` becomes a number with its exact digits, None
                leaves a member out, and a float is refused outside of ``metadata``,
                because it is not exact. GET and DELETE have no body. If the API quotes
                the body in an error, only secrets in classes such as `Card` are masked,
                so put these into it, rather than plain card numbers.
            idempotency_key: A UUID of version 4. With a key the call is retried as
                `payments.create` is, so pass one only if the API honours it for this
                operation. The public API document, version 1.0.0, has it only for
                ``POST /payments``. A replayed response with another trace ID than the
                call's is refused, because nothing shows that it is the response to this
                operation. So use a key again only with the `trace_id` of its first
                call.
            retry: ``"if_unsent"``: without a key, send the request again only if it
                never left. ``"always"``: also after errors that leave open whether it
                was processed, for an operation that does no harm if it happens twice,
                such as a read.
            options: `CallOptions`.

        Returns:
            The decoded response.

        Raises:
            InvalidArgumentError: An argument is not valid. Nothing was sent.
            SessionStateError: The session is closed, or belongs to another event loop.
            APITimeoutError: The deadline passed.
            APIConnectionError: There was no response, retries included.
            APIStatusError: The API refused; there is a subclass for each status. Unless
                `outcome_unknown` is False, the request may have been processed.
            APIResponseError: The response is not JSON, or too large.
        """
        _check_choice("method", method, get_args(Method))
        _check_path(path)
        _check_choice("retry", retry, ("if_unsent", "always"))
        params = _texts("path_params", path_params)
        _check_params(path, params)
        operation = Operation(
            name="request",
            method=method,
            path=path,
            path_params=params,
            query=_texts("query", query, optional=True),
            body=_encode(method, body),
            idempotency_key=None
            if idempotency_key is None
            else check_uuid4("idempotency_key", idempotency_key),
            harmless=retry == "always",
            result=RawResponse,
        )
        return await self._pipeline.run(operation, options)


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    # `type`, because an object of a subclass may compare and print as it likes.
    check_choice(name, value if type(value) is str else None, choices=choices)


def _check_path(path: object) -> None:
    if (
        type(path) is not str
        or not _PATH.fullmatch(path)
        or ".." in path
        or "." in path.split("/")
    ):
        msg = (
            'path must begin with one "/", such as "/payments/{id}", and have no "..", '
            '"?", "#" or characters that a URL has to quote'
        )
        raise InvalidArgumentError(msg)


def _check_params(path: str, params: Mapping[str, str]) -> None:
    with suppress(UnicodeEncodeError):
        fill_path(path, params)
        return
    # Raised here because the first error holds the value.
    raise InvalidArgumentError("path_params must not have lone surrogates")


def _texts(name: str, values: object, *, optional: bool = False) -> dict[str, str]:
    """Return parameters of a URL as texts; if `optional`, without those that are None.

    Errors name neither parameters nor values.
    """
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        raise InvalidArgumentError(f"{name} must be a mapping of names to values")
    texts: dict[str, str] = {}
    for key, value in values.items():
        if not isinstance(key, str):
            raise InvalidArgumentError(f"the names in {name} must be str")
        if value is None and optional:
            continue
        texts[str.__str__(key)] = _text(name, value)
    return texts


def _text(name: str, value: object) -> str:
    write = find_writer(type(value), _PARAMETER_WRITERS)
    if write is None:
        msg = f"{name} must not have values of {type(value).__name__}"
        raise InvalidArgumentError(msg)
    try:
        return write(value)
    except ValueError as error:
        # Our own texts, and those of Python about its limits.
        problem = str(error)
    raise InvalidArgumentError(f"{name}: {problem}")


def _encode(method: str, body: object) -> Body | None:
    if body is None:
        return None
    if method in {"GET", "DELETE"}:
        raise InvalidArgumentError(f"body must be None for {method}")
    if not isinstance(body, Mapping):
        raise InvalidArgumentError("body must be a mapping, the members of an object")
    try:
        return encode_body(body)
    except (TypeError, ValueError) as error:
        problem = str(error)
    # Raised here because the frames of the first error hold the body, and as one line
    # because it names members of the body.
    raise InvalidArgumentError(f"body: {printable(problem)}")
