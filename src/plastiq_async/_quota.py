"""How many retries a session may spend: few, once they turn out to be in vain."""

from __future__ import annotations

from plastiq_async._logging import logger

# A retry costs what ten untroubled calls earn: once the savings are used up, retries in
# vain are at most a tenth of such calls, however many are asked for.
_COST = 10
# The savings: enough for whatever passes.
_LEAST_CAPACITY = 100 * _COST


class RetryQuota:
    """A token bucket: each retry takes tokens, each success puts some back.

    Retries help against faults that pass. Against an outage they multiply the load
    that may have caused it, so they stop when they have failed often enough.

    Args:
        max_connections: The session's: all may go stale, and need a retry, at once.
    """

    def __init__(self, max_connections: int) -> None:
        self._capacity = self._tokens = max(_LEAST_CAPACITY, max_connections * _COST)

    @property
    def left(self) -> int:
        """How many retries there may be now."""
        return self._tokens // _COST

    def spend(self) -> None:
        """Pay for one retry."""
        self._tokens -= _COST
        if not self.left:
            logger.warning("the retry quota is used up: failed calls are not retried")

    def earn(self, *, retried: bool) -> None:
        """Put something back after a success: if it took a retry, what one costs."""
        if self._tokens < self._capacity:
            earned = _COST if retried else 1
            self._tokens = min(self._capacity, self._tokens + earned)
