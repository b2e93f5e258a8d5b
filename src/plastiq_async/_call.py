"""`Call`, the state of one logical call, and the ways to find it."""

from __future__ import annotations

import math
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import anyio
import attrs

from plastiq_async._extra_headers import check_extra_headers
from plastiq_async._validate import check_timeout, check_trace_id
from plastiq_async.errors import HookError, PlastiqError
from plastiq_async.models.common import CallOptions, EndUser, check_end_user
from plastiq_async.tracing import current_trace_id

if TYPE_CHECKING:
    import httpx

    from plastiq_async._operation import Operation
    from plastiq_async._telemetry import Measurements

# The request extension that holds the call.
CALL_EXTENSION = "plastiq_async.call"

# These say nothing about what an earlier attempt did: a gateway refused this one, or
# the first one is still being processed.
_INCONCLUSIVE = frozenset({401, 403, 408, 409, 429})
# After these, the server may have acted.
_AMBIGUOUS = frozenset({408, 409})
_NOT_FOUND = 404
# A shorter value of an extra header, such as "1" or "true", is no secret, but may be
# equal to the value of `Retry-After` or `Idempotent-Replay`.
_SHORTEST_SECRET_VALUE = 8


@attrs.frozen(kw_only=True)
class CallDefaults:
    """The settings of a session, or of a view of it, that apply to each call."""

    timeout: float
    attempt_timeout: float = math.inf
    max_retries: int
    end_user: EndUser | None = None
    verify_trace_id: bool = True
    host: str | None = None  # of the base URL


@attrs.define(kw_only=True, eq=False)
class Call:
    """The state of one logical call, all of its attempts included.

    What is known of the outcome is kept here alone. `sending` and `answered` are its
    inputs; `not_sent` corrects `sending` for transports that cannot tell in advance.
    """

    operation: Operation[Any]
    defaults: CallDefaults
    trace_id: UUID  # the same for all attempts
    trace_text: str = attrs.Factory(lambda call: str(call.trace_id), takes_self=True)
    timeout: float
    end_user: EndUser | None = attrs.field(default=None, repr=False)
    extra_headers: tuple[tuple[bytes, bytes], ...] = attrs.field(default=(), repr=False)
    # Both on the event loop's clock, by which all durations are measured.
    started: float = 0.0
    deadline: float = math.inf
    attempts: int = 0
    # How many attempts only asked whether an idempotent request is done.
    polls: int = 0
    # When the latest attempt began, and the access token that it carries.
    sent_at: datetime = attrs.Factory(lambda: datetime.now(UTC))
    token: str = attrs.field(default="", repr=False)
    # What ends the latest request at its time limit, which `sending` sets.
    send_scope: anyio.CancelScope | None = attrs.field(default=None, repr=False)
    # What a token provider or rate limiter raised, or what the rate limit allows no
    # retry of. It is passed on unchanged.
    hook_error: Exception | None = attrs.field(default=None, repr=False)
    # The error of the latest attempt, or another of ours that says which call it ended.
    described_error: PlastiqError | None = attrs.field(default=None, repr=False)
    # What the call waits for before it sends, for the error at the deadline.
    waiting_for: str | None = "a permit"
    _in_flight: bool = attrs.field(default=False, init=False)
    _may_have_acted: bool = attrs.field(default=False, init=False)
    # What the latest definite response cleared, should it prove to settle nothing.
    _cleared: bool = attrs.field(default=False, init=False)
    # The status of the latest attempt, if it succeeded.
    success: int | None = attrs.field(default=None, init=False)
    # None unless the session has an observer.
    measured: Measurements | None = attrs.field(default=None, init=False)

    @property
    def outcome_unknown(self) -> bool:
        """Whether the server may have acted without the caller knowing."""
        return self._in_flight or self._may_have_acted

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets of the request, to be masked in what comes back."""
        in_body = self.operation.body.secrets if self.operation.body else frozenset()
        if not self.extra_headers:
            return in_body
        return in_body.union(
            value.decode()
            for _, value in self.extra_headers
            if len(value) >= _SHORTEST_SECRET_VALUE
        )

    @property
    def needs_own_response(self) -> bool:
        """Whether any doubt about whose response it is counts against it."""
        operation = self.operation
        return not operation.harmless or operation.idempotency_key is not None

    def begin_attempt(self) -> None:
        """Count another attempt; an earlier one in flight stays unanswered."""
        self._may_have_acted |= self._in_flight
        self._in_flight = self._cleared = False
        self.success = self.described_error = None
        self.attempts += 1
        self.sent_at = datetime.now(UTC)

    def sending(self) -> None:
        """Record that the request begins to leave, and start its time limit."""
        self._in_flight = True
        # Others wait for their own response, since another try may not be safe.
        if self.send_scope is not None and not self.needs_own_response:
            limit = self.defaults.attempt_timeout
            self.send_scope.deadline = anyio.current_time() + limit

    def not_sent(self) -> None:
        """Record that nothing of the request can have arrived after all."""
        self._in_flight = False

    def answered(self, status: int, *, readable: bool = True) -> None:
        """Record a complete response, and whether a 2xx one could be decoded."""
        self._in_flight = False
        error = 400 <= status < 500  # noqa: PLR2004 -- the classes of RFC 9110
        success = 200 <= status < 300  # noqa: PLR2004
        if self.already_deleted(status):
            self.success = status
            return
        if success:
            self.success = status
        if (success and readable) or (error and status not in _INCONCLUSIVE):
            self._cleared, self._may_have_acted = self._may_have_acted, False
        elif success or status in _AMBIGUOUS or status >= 500:  # noqa: PLR2004
            operation = self.operation
            risky = not operation.harmless or operation.method == "DELETE"
            self._may_have_acted |= risky or self._cleared

    def result_lost(self) -> None:
        """Record that the caller gets no result, even if the server sent one."""
        if self.success is not None:
            self.answered(self.success, readable=False)

    def unsettled(self) -> None:
        """Record that the latest response tells nothing of the attempts before it."""
        self._may_have_acted |= self._cleared

    def already_deleted(self, status: int) -> bool:
        """Tell whether a 404 shows the success of an earlier attempt to delete."""
        deleting = self.operation.method == "DELETE"
        return deleting and status == _NOT_FOUND and self._may_have_acted


def start_call(
    operation: Operation[Any], options: CallOptions, defaults: CallDefaults
) -> Call:
    """Return the state of a new call, after checking its options."""
    check_option_names(operation.name, options)
    timeout = options.get("timeout")
    trace_id = options.get("trace_id")
    end_user = options.get("end_user")
    headers = options.get("extra_headers")
    return Call(
        operation=operation,
        defaults=defaults,
        timeout=defaults.timeout if timeout is None else check_timeout(timeout),
        trace_id=current_trace_id() or uuid4()
        if trace_id is None
        else check_trace_id(trace_id),
        end_user=defaults.end_user if end_user is None else check_end_user(end_user),
        extra_headers=() if headers is None else check_extra_headers(headers),
    )


def check_option_names(name: str, options: CallOptions) -> None:
    """Raise a TypeError if an option is none of `CallOptions`."""
    if options and (unknown := options.keys() - CallOptions.__optional_keys__):
        raise TypeError(f"{name}() got an unexpected keyword argument {min(unknown)!r}")


current_call: ContextVar[Call] = ContextVar("plastiq_current_call")
"""The call being sent, for code that a library calls without our request."""


def call_of(request: httpx.Request) -> Call:
    """Return the state of the call that a session built `request` for."""
    call = request.extensions.get(CALL_EXTENSION)
    if isinstance(call, Call):
        return call
    raise HookError("a request that no session built has no call")
