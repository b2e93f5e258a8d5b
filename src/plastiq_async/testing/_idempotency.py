"""`idempotent`, the rules of the `Idempotency-Key` header."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable
from uuid import UUID

import anyio
import attrs

from plastiq_async.testing._checks import parse_uuid4
from plastiq_async.testing._errors import ApiError, ConflictError, ValidationError
from plastiq_async.testing._messages import ApiRequest, ApiResponse
from plastiq_async.testing._responses import error_response
from plastiq_async.testing._state import FakeState

__all__ = ["IdempotencyKeys", "idempotent"]

SERVER_ERRORS = 500


@attrs.frozen(kw_only=True)
class StoredResponse:
    """A response stored under an idempotency key."""

    response: ApiResponse
    request_body: dict[str, object] = attrs.field(repr=False)
    trace_id: str
    # By the event loop's clock, which also times `delay_next`. Without a delay the
    # clock does not matter, so that the key can be used in another event loop.
    finished_at: float


@attrs.define
class IdempotencyKeys:
    """Stored responses by operation and idempotency key, oldest first.

    Attributes:
        replay_first_trace_id: Whether a replay carries the `Trace-Id` of the first
            request instead of that of the replayed one. The API's documentation
            leaves this open.
    """

    replay_first_trace_id: bool = False
    _stored: OrderedDict[tuple[str, UUID], StoredResponse] = attrs.field(
        factory=OrderedDict, init=False, repr=False
    )

    def find(self, operation: str, key: UUID) -> StoredResponse | None:
        """Return the response stored under a key.

        Args:
            operation: Name of the operation.
            key: Idempotency key.

        Returns:
            The stored response, or None if the key is unknown.
        """
        return self._stored.get((operation, key))

    def store(
        self, operation: str, key: UUID, stored: StoredResponse, *, limit: int
    ) -> None:
        """Store a response, and drop the oldest beyond `limit`.

        Args:
            operation: Name of the operation.
            key: Idempotency key.
            stored: Response to store.
            limit: Number of responses to keep.
        """
        self._stored[operation, key] = stored
        if len(self._stored) > limit:
            self._stored.popitem(last=False)


def idempotent(
    request: ApiRequest, state: FakeState, process: Callable[[], ApiResponse]
) -> ApiResponse:
    """Process a request once per idempotency key, and replay its response.

    A request without a key is always processed. Responses with a status of 500 or
    more are not stored. While `delay_next` delays the first response, its key is
    in flight, even if the client has given up waiting.

    Args:
        request: The request.
        state: State of the fake.
        process: Does the work. It may raise `ApiError`.

    Returns:
        The new response, or the stored one with `Idempotent-Replay: true`.

    Raises:
        ValidationError: The key is not a UUID version 4, or was used with another
            body.
        ConflictError: The key is in flight.
    """
    if request.idempotency_key is None:
        return process()
    key = parse_uuid4(request.idempotency_key)
    if key is None:
        msg = "Idempotency-Key must be a UUID version 4"
        raise ValidationError(msg)
    keys = state.of(IdempotencyKeys)
    stored = keys.find(request.operation, key)
    if stored is not None:
        return _replay(stored, request.body, first_trace_id=keys.replay_first_trace_id)
    try:
        response = process()
    except ApiError as error:
        response = error_response(error, trace_id=request.trace_id)
    if response.status < SERVER_ERRORS:
        stored = StoredResponse(
            response=response,
            request_body=request.body,
            trace_id=request.trace_id,
            finished_at=(
                anyio.current_time() + request.delay if request.delay else -math.inf
            ),
        )
        keys.store(request.operation, key, stored, limit=state.history)
    return response


def _replay(
    stored: StoredResponse, body: dict[str, object], *, first_trace_id: bool
) -> ApiResponse:
    if body != stored.request_body:
        msg = "Idempotency-Key was used with another body"
        raise ValidationError(msg)
    if anyio.current_time() < stored.finished_at:
        msg = "Idempotency-Key is in flight"
        raise ConflictError(msg)
    headers = {**stored.response.headers, "Idempotent-Replay": "true"}
    if first_trace_id:
        headers["Trace-Id"] = stored.trace_id
    return attrs.evolve(stored.response, headers=headers)
