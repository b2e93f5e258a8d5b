"""`RetryQuota`: the number of retries that the calls of a session may make."""

from plastiq_async._logging import logger

# A retry costs as many tokens as ten calls that succeed without a retry earn. Once the
# bucket is empty, there is at most one failing retry for every ten such calls.
_RETRY_COST = 10
# Enough for transient errors, too little to prolong an outage.
_MIN_CAPACITY = 100 * _RETRY_COST


class RetryQuota:
    """Token bucket for retries: each retry takes tokens, each success adds some.

    Retries help against transient errors. During an outage they multiply the load that
    may have caused it, so they stop after too many of them have failed.
    """

    def __init__(self, max_connections: int) -> None:
        self._capacity = max(_MIN_CAPACITY, max_connections * _RETRY_COST)
        self._tokens = self._capacity

    @property
    def left(self) -> int:
        """The number of retries that may be made now."""
        return self._tokens // _RETRY_COST

    def spend(self) -> None:
        """Take the tokens of one retry."""
        self._tokens -= _RETRY_COST
        if not self.left:
            logger.warning("the retry quota is used up: failed calls are not retried")

    def give_back(self) -> None:
        """Add the tokens of a retry that was not made."""
        self._tokens = min(self._capacity, self._tokens + _RETRY_COST)

    def earn(self, *, retried: bool) -> None:
        """Add tokens after a call has succeeded."""
        if self._tokens < self._capacity:
            earned = _RETRY_COST if retried else 1
            self._tokens = min(self._capacity, self._tokens + earned)
