"""A ledger of calls, their outcomes and complaints."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from uuid import UUID

import anyio
import attrs

from plastiq_async import (
    APITimeoutError,
    ClientSecret,
    ConfigurationError,
    InvalidArgumentError,
    PlastiqError,
)

SUCCEEDED = "succeeded"
CANCELLED = "cancelled"

# Seconds by which a call may exceed its time limit, because the machine may be busy.
GRACE = 2.0
# Number of complaints that are kept in full; further ones are only counted.
_MOST_COMPLAINTS = 20


@attrs.define(eq=False, kw_only=True)
class Entry:
    """An entry of a call in the ledger.

    Attributes:
        trace_id: Trace ID that identifies the call.
        timeout: Timeout of the call in seconds.
        patience: Seconds until its caller cancels it; infinity if never.
        entered: Time of the entry, by the ledger's clock.
        outcome: Outcome of the call; None until it is settled.
    """

    trace_id: UUID
    timeout: float
    patience: float
    entered: float
    outcome: str | None = None

    @property
    def due(self) -> float:
        """Time by which the call must be over."""
        return self.entered + min(self.timeout, self.patience)


class Ledger:
    """A record of every call, from before its start to its one outcome.

    Args:
        most_attempts: Maximum number of attempts of a call.
        clock: Returns the current time in seconds.

    Attributes:
        open: Entries of the calls in flight.
        outcomes: Number of calls by outcome and number of attempts.
        complaints: Number of occurrences of each problem; empty if there is none.
    """

    def __init__(
        self, most_attempts: int, clock: Callable[[], float] = anyio.current_time
    ) -> None:
        self.open: set[Entry] = set()
        self.outcomes: Counter[tuple[str, int]] = Counter()
        self.complaints: Counter[str] = Counter()
        self._most_attempts = most_attempts
        self._clock = clock

    def enter(self, trace_id: UUID, timeout: float, patience: float) -> Entry:
        """Open the entry of a call, before it starts."""
        entry = Entry(
            trace_id=trace_id,
            timeout=timeout,
            patience=patience,
            entered=self._clock(),
        )
        self.open.add(entry)
        return entry

    def succeed(self, entry: Entry, secret: ClientSecret) -> None:
        """Settle a call that returned `secret`, which must be its own."""
        if secret.client_secret != f"secret-of-{entry.trace_id}":
            self.complain("A CALL WAS GIVEN ANOTHER CALL'S SECRET")
        if secret.trace_id != entry.trace_id:
            self.complain("a result names another call's trace ID")
        self._settle(entry, SUCCEEDED, secret.response.attempts)

    def fail(self, entry: Entry, error: Exception) -> None:
        """Settle a call that raised `error`."""
        name = type(error).__name__
        if isinstance(error, (ConfigurationError, InvalidArgumentError)):
            self.complain(f"a good call was refused: {error!r}")
        if isinstance(error, APITimeoutError) and (
            # A timer's clock may be coarser than the clock that is read.
            self._clock() < entry.entered + entry.timeout - 0.05
        ):
            self.complain("a call timed out before its time")
        if any(word in f"{error} {error!r}" for word in ("secret-of-", "token-")):
            self.complain(f"the text of a {name} holds a secret")
        attempts = error.attempts if isinstance(error, PlastiqError) else 0
        self._settle(entry, name, attempts)

    def cancel(self, entry: Entry) -> None:
        """Settle a call that its caller saw being cancelled."""
        self._settle(entry, CANCELLED, 0)

    def _settle(self, entry: Entry, outcome: str, attempts: int) -> None:
        if entry.outcome is not None:
            self.complain(f"a call had two outcomes: {entry.outcome} and {outcome}")
            return
        entry.outcome = outcome
        self.open.discard(entry)
        self.outcomes[outcome, attempts] += 1
        if self._clock() > entry.due + GRACE:
            self.complain(f"a call outlived its time and {outcome}")
        if attempts > self._most_attempts:
            self.complain(f"a call made {attempts} attempts")

    def close(self) -> None:
        """Complain about calls without an outcome, once all should have one."""
        for _ in self.open:
            self.complain("a call has no outcome")
        self.open.clear()

    def complain(self, what: str) -> None:
        """Record a complaint, or count it if it is known."""
        what = re.sub("0x[0-9a-f]+", "0x...", what)
        if what in self.complaints or len(self.complaints) < _MOST_COMPLAINTS:
            self.complaints[what] += 1
        else:
            self.complaints["and other things"] += 1
