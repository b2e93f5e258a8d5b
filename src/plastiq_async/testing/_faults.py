"""`FaultQueue`, the faults that were ordered for the next requests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, TypeAlias

import attrs

__all__ = [
    "ConnectionLostError",
    "Delay",
    "Drop",
    "ErrorShape",
    "Fail",
    "Fault",
    "FaultQueue",
    "Garble",
    "Refuse",
]

MAX_ORDERS = 1_000

ErrorShape: TypeAlias = Literal["errors", "details", "html", "empty"]
"""The four kinds of body that an error response may have."""


@attrs.frozen(kw_only=True)
class Fail:
    """Return an error status."""

    status: int
    code: str | None
    message: str | None
    details: tuple[str, ...]
    retry_after: str | None
    shape: ErrorShape
    after_processing: bool


@attrs.frozen(kw_only=True)
class Garble:
    """Return exactly these bytes."""

    body: bytes
    status: int
    content_type: str
    headers: Mapping[str, str] = attrs.field(hash=False)


@attrs.frozen(kw_only=True)
class Delay:
    """Process the request, then wait before the response."""

    seconds: float


@attrs.frozen(kw_only=True)
class Drop:
    """Receive the request, then close the connection."""

    after_processing: bool


@attrs.frozen
class Refuse:
    """Do not accept the connection."""


Fault: TypeAlias = Fail | Garble | Delay | Drop | Refuse


class ConnectionLostError(Exception):
    """Raised by the application when a fault closes the connection.

    Args:
        fault: The fault.
    """

    def __init__(self, fault: Drop | Refuse) -> None:
        super().__init__(f"FakePlastiq was told to lose the connection: {fault}")
        self.fault = fault


@attrs.define
class _Order:
    fault: Fault
    on: str | None
    times: int


class FaultQueue:
    """Faults in the order in which they were ordered, one for each request.

    A request gets the first pending fault that is for any request or for its
    operation. A fault applies before anything is checked, the access token
    included. A fault for any request also applies to unknown paths.

    Over a real socket two faults differ, because an ASGI application can neither
    refuse a connection nor close it without a response. There `drop_next` and
    `refuse_next` send the headers of a 500 with a `Content-Length`, and then close
    the connection instead of sending the body.

    Args:
        operations: Names of the operations that a fault can be for.
    """

    def __init__(self, operations: Iterable[str]) -> None:
        self._operations = tuple(operations)
        self._orders: list[_Order] = []

    @property
    def pending_faults(self) -> int:
        """Number of faults that have not been applied yet."""
        return sum(order.times for order in self._orders)

    def fail_next(
        self,
        status: int,
        *,
        code: str | None = None,
        message: str | None = None,
        details: Iterable[str] = (),
        retry_after: float | str | None = None,
        times: int = 1,
        shape: ErrorShape = "errors",
        after_processing: bool = False,
        on: str | None = None,
    ) -> None:
        """Respond to the next request with an error.

        Args:
            status: Status code, 400 to 599.
            code: Error code; by default the generic code of `status`, if any.
            message: Error message; by default the usual message of `status`.
            details: Texts of the list of details.
            retry_after: Value of `Retry-After`: seconds, or any text.
            times: Number of requests.
            shape: `"errors"` and `"details"` are the API's two error bodies.
                `"html"` and `"empty"` are those of a gateway, which has no error
                code and no `Trace-Id` header.
            after_processing: Whether to process the request first, so that for
                example a payment is charged that the client believes failed.
            on: Name of an operation, such as `"client_secrets.create"`; by default
                the fault is for any request.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not 400 <= status <= 599:  # noqa: PLR2004 -- the range of error statuses
            msg = f"status must be between 400 and 599, not {status}"
            raise ValueError(msg)
        if shape not in ("errors", "details", "html", "empty"):
            msg = f"shape must be errors, details, html or empty, not {shape!r}"
            raise ValueError(msg)
        fault = Fail(
            status=status,
            code=code,
            message=message,
            details=tuple(details),
            retry_after=None if retry_after is None else str(retry_after),
            shape=shape,
            after_processing=after_processing,
        )
        self._add(fault, on=on, times=times)

    def garble_next(
        self,
        body: bytes = b'{"clientSecret": ',
        *,
        status: int = 200,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
        times: int = 1,
        on: str | None = None,
    ) -> None:
        """Respond to the next request with exactly this, and process nothing.

        Args:
            body: Body; by default truncated JSON.
            status: Status code, 200 to 599.
            content_type: Value of `Content-Type`.
            headers: Additional headers. The request's `Trace-Id` is added unless
                it is among them.
            times: Number of requests.
            on: Name of an operation; by default the fault is for any request.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not 200 <= status <= 599:  # noqa: PLR2004 -- the range of final statuses
            msg = f"status must be between 200 and 599, not {status}"
            raise ValueError(msg)
        fault = Garble(
            body=body,
            status=status,
            content_type=content_type,
            headers=dict(headers or {}),
        )
        self._add(fault, on=on, times=times)

    def delay_next(
        self, seconds: float, *, times: int = 1, on: str | None = None
    ) -> None:
        """Process the next request at once, but delay its response.

        Args:
            seconds: Delay of the response.
            times: Number of requests.
            on: Name of an operation; by default the fault is for any request.

        Raises:
            ValueError: An argument is out of its range.
        """
        if not seconds >= 0:
            msg = f"seconds must not be negative, not {seconds}"
            raise ValueError(msg)
        self._add(Delay(seconds=seconds), on=on, times=times)

    def drop_next(
        self,
        *,
        times: int = 1,
        after_processing: bool = False,
        on: str | None = None,
    ) -> None:
        """Receive the next request, then close the connection without a response.

        The request is recorded. The transport raises
        `httpx.RemoteProtocolError`, or `httpx.ReadError` if the request was
        processed. A client cannot tell the two cases apart.

        Args:
            times: Number of requests.
            after_processing: Whether to process the request first, so that for
                example a client secret exists that the client never received.
            on: Name of an operation; by default the fault is for any request.

        Raises:
            ValueError: An argument is out of its range.
        """
        self._add(Drop(after_processing=after_processing), on=on, times=times)

    def refuse_next(self, *, times: int = 1, on: str | None = None) -> None:
        """Refuse the next connection: `httpx.ConnectError`.

        Nothing is recorded because nothing was received.

        Args:
            times: Number of requests.
            on: Name of an operation; by default the fault is for any request.

        Raises:
            ValueError: An argument is out of its range.
        """
        self._add(Refuse(), on=on, times=times)

    def clear_faults(self) -> None:
        """Forget all pending faults."""
        self._orders.clear()

    def take_fault(self, operation: str | None = None) -> Fault | None:
        """Remove and return the fault of a request. The server side calls this.

        Args:
            operation: Name of the request's operation, or None for an unknown
                path.

        Returns:
            The first pending fault for this request, or None.
        """
        for index, order in enumerate(self._orders):
            if order.on is None or order.on == operation:
                order.times -= 1
                if not order.times:
                    del self._orders[index]
                return order.fault
        return None

    def _add(self, fault: Fault, *, on: str | None, times: int) -> None:
        if len(self._orders) >= MAX_ORDERS:
            msg = f"No more than {MAX_ORDERS} orders of faults may be pending"
            raise ValueError(msg)
        if times < 1:
            msg = f"times must be at least 1, not {times}"
            raise ValueError(msg)
        if on is not None and on not in self._operations:
            known = ", ".join(sorted(self._operations))
            msg = f"on must be the name of an operation ({known}), not {on!r}"
            raise ValueError(msg)
        self._orders.append(_Order(fault, on, times))
