"""`Window`: how many items of `Bulk` may be held, by the pace of the consumer."""

# A consumer that is fast reaches a concurrency of 100 within five round trips.
_FIRST_SIZE = 4


class Window:
    """The number of items in flight or with an outcome that was not fetched.

    It is adjusted in rounds. A round ends when the consumer had to wait for an outcome,
    or when it fetched a whole window of them without waiting:

    - It waited although the window was full, so it is fast. The window grows by the
      number of outcomes fetched in the round, which doubles it in each round trip.
    - It did not wait. The outcomes that lay there all through the round are more than
      it needs. The window shrinks by half their number, since a larger step would make
      it wait.

    Args:
        limit: The largest size.

    Attributes:
        size: The current size, 1 or more.
    """

    def __init__(self, limit: int) -> None:
        self.size = min(_FIRST_SIZE, limit)
        self._limit = limit
        self._fetched = 0
        self._least_left = limit

    def record_fetch(self, *, waited: bool, full: bool, left: int) -> None:
        """Record that the consumer fetched an outcome, and adjust the size.

        Args:
            waited: Whether the consumer waited for the outcome.
            full: Whether no more items could be held at that time.
            left: The number of outcomes that are left to fetch.
        """
        self._fetched += 1
        self._least_left = min(self._least_left, left)
        if waited:
            if full:
                self.size = min(self._limit, self.size + self._fetched)
        elif self._fetched >= self.size:
            self.size = max(1, self.size - (self._least_left + 1) // 2)
        else:
            return
        self._fetched = 0
        self._least_left = self._limit
