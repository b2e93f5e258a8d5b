"""Faults on order: what shall go wrong with the requests to come."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import attrs

__all__ = [
    "Delay",
    "Drop",
    "ErrorShape",
    "Fail",
    "Fault",
    "FaultQueue",
    "Garble",
    "Refuse",
]

ErrorShape: TypeAlias = Literal["errors", "details", "html", "empty"]
"""The four kinds of body that an error may come with."""


@attrs.frozen(kw_only=True)
class Fail:
    """Answer with an error status."""

    status: int
    code: str | None
    message: str | None
    details: tuple[str, ...]
    retry_after: str | None
    shape: ErrorShape


@attrs.frozen(kw_only=True)
class Garble:
    """Answer with exactly these bytes."""

    body: bytes
    status: int
    content_type: str
    headers: Mapping[str, str] = attrs.field(hash=False)


@attrs.frozen(kw_only=True)
class Delay:
    """Do the work, then wait before answering."""

    seconds: float


@attrs.frozen(kw_only=True)
class Drop:
    """Receive the request, then close the connection."""

    after_processing: bool


@attrs.frozen
class Refuse:
    """Do not accept the connection."""


Fault: TypeAlias = Fail | Garble | Delay | Drop | Refuse


class FaultQueue:
    """Faults in the order in which they were asked for; one for each request.

    A fault strikes before anything is checked, the access token included, and
    whatever the path. Over a real socket all faults work but two: an ASGI
    application can neither refuse a connection nor close it unanswered.
    `drop_next` and `refuse_next` do the nearest thing there: the answer's
    headers, a 500 with a `Content-Length`, and then the end of the connection
    in place of the body.
    """

    def __init__(self) -> None:
        """Make an empty queue."""
        self._faults: deque[Fault] = deque()

    @property
    def pending_faults(self) -> int:
        """How many faults have not struck yet."""
        return len(self._faults)

    def fail_next(  # all but one are optional details
        self,
        status: int,
        *,
        code: str | None = None,
        message: str | None = None,
        details: Iterable[str] = (),
        retry_after: float | str | None = None,
        times: int = 1,
        shape: ErrorShape = "errors",
    ) -> None:
        """Answer the next request with an error.

        Args:
            status: The HTTP status, 400 to 599.
            code: The error code; by default the status's generic code, if it
                has one.
            message: The error message; by default a text that suits `status`.
            details: The texts of the list of details.
            retry_after: The value of `Retry-After`: seconds, or any text.
            times: How many requests it is for.
            shape: `"errors"` and `"details"` are the API's two error bodies;
                `"html"` and `"empty"` are a gateway's, which has no error code
                and no `Trace-Id` header either.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not 400 <= status <= 599:  # noqa: PLR2004
            error = f"status must be between 400 and 599, not {status}"
            raise ValueError(error)
        if shape not in ("errors", "details", "html", "empty"):
            error = f"shape must be errors, details, html or empty, not {shape!r}"
            raise ValueError(error)
        fault = Fail(
            status=status,
            code=code,
            message=message,
            details=tuple(details),
            retry_after=None if retry_after is None else str(retry_after),
            shape=shape,
        )
        self._add(fault, times)

    def garble_next(
        self,
        body: bytes = b'{"clientSecret": ',
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next request with exactly this; nothing is processed.

        Args:
            body: The body; by default a piece of JSON that is cut off.
            status: The HTTP status, 200 to 599.
            content_type: The value of `Content-Type`.
            headers: More headers. The request's `Trace-Id` comes by itself
                unless it is among them.
            times: How many requests it is for.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not 200 <= status <= 599:  # noqa: PLR2004
            error = f"status must be between 200 and 599, not {status}"
            raise ValueError(error)
        fault = Garble(
            body=body,
            status=status,
            content_type=content_type,
            headers=dict(headers or {}),
        )
        self._add(fault, times)

    def delay_next(self, seconds: float, *, times: int = 1) -> None:
        """Process the next request at once, but answer it late.

        Args:
            seconds: How long the answer takes.
            times: How many requests it is for.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not seconds >= 0:
            error = f"seconds must not be negative, not {seconds}"
            raise ValueError(error)
        self._add(Delay(seconds=seconds), times)

    def drop_next(self, *, times: int = 1, after_processing: bool = False) -> None:
        """Close the connection in place of an answer to the next request.

        The request is recorded. The transport raises
        `httpx.RemoteProtocolError`, and `httpx.ReadError` for a connection
        that breaks after the work was done; a client cannot tell which of the
        two cases it was.

        Args:
            times: How many requests it is for.
            after_processing: Whether the work is done first, so that a client
                secret exists that nobody was told of.

        Raises:
            ValueError: An argument is out of its range.
        """
        self._add(Drop(after_processing=after_processing), times)

    def refuse_next(self, *, times: int = 1) -> None:
        """Do not accept the next connection: `httpx.ConnectError`.

        Nothing is recorded, as nothing was received.

        Args:
            times: How many requests it is for.

        Raises:
            ValueError: An argument is out of its range.
        """
        self._add(Refuse(), times)

    def take_fault(self) -> Fault | None:
        """Remove and return the next fault; for the server's side.

        Returns:
            The fault that is next, or None.
        """
        return self._faults.popleft() if self._faults else None

    def _add(self, fault: Fault, times: int) -> None:
        if times < 1:
            error = f"times must be at least 1, not {times}"
            raise ValueError(error)
        self._faults.extend([fault] * times)
