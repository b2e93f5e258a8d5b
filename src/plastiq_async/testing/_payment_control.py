"""`PaymentControl`, what tests see and do of the payments of a fake."""

from __future__ import annotations

from uuid import UUID

from plastiq_async.testing._idempotency import IdempotencyKeys
from plastiq_async.testing._models.payments import STATUSES, Payments
from plastiq_async.testing._state import FakeState

__all__ = ["PaymentControl"]


class PaymentControl:
    """The payments of a fake: its counts, and what no request can do."""

    _state: FakeState

    @property
    def charges(self) -> int:
        """Number of times that a payer was charged, since the start or a reset."""
        return self._state.of(Payments).charges

    @property
    def refunds(self) -> int:
        """Number of times that a payer was refunded, since the start or a reset."""
        return self._state.of(Payments).refunds

    @property
    def replay_first_trace_id(self) -> bool:
        """Whether replayed responses carry the `Trace-Id` of the first request.

        Otherwise they carry that of their own request. The API's documentation leaves
        this open, so test both. A reset sets it to False.
        """
        return self._state.of(IdempotencyKeys).replay_first_trace_id

    @replay_first_trace_id.setter
    def replay_first_trace_id(self, value: bool) -> None:
        self._state.of(IdempotencyKeys).replay_first_trace_id = value

    @property
    def name_payment_intents(self) -> bool:
        """Whether payments name their payment intent, as in the vendor's guide.

        The public API document does not have it, so test both. A reset sets it to True.
        """
        return self._state.of(Payments).name_intents

    @name_payment_intents.setter
    def name_payment_intents(self, value: bool) -> None:
        self._state.of(Payments).name_intents = value

    @property
    def listing_delay(self) -> float:
        """Seconds by the fake's clock until listings contain a new payment.

        A payment can be retrieved at once. Infinity lists none. A reset sets it to 0.

        Raises:
            ValueError: It is set to a negative number.
        """
        return self._state.of(Payments).listing_delay

    @listing_delay.setter
    def listing_delay(self, seconds: float) -> None:
        if not seconds >= 0:
            msg = f"seconds must not be negative, not {seconds}"
            raise ValueError(msg)
        self._state.of(Payments).listing_delay = seconds

    def advance_payment(self, payment_id: UUID | str, status: str) -> None:
        """Set the status of a payment, which no request can do.

        Args:
            payment_id: ID of the payment.
            status: Any status of the public API document or of the vendor's guide,
                such as `"DEPOSITED"`.

        Raises:
            ValueError: There is no such payment or no such status.
        """
        payment = self._state.of(Payments).by_id.get(UUID(str(payment_id)))
        if payment is None:
            msg = "there is no payment with this ID"
            raise ValueError(msg)
        if status not in STATUSES:
            msg = f"status must be one of: {', '.join(sorted(STATUSES))}"
            raise ValueError(msg)
        payment.status = status
