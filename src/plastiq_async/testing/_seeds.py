"""`SeededFake`, a fake with all that a payment needs."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

import attrs

from plastiq_async.testing._fake import FakePlastiq
from plastiq_async.testing._models.categories import Categories
from plastiq_async.testing._models.payment_methods import PaymentMethods, add_card
from plastiq_async.testing._models.recipients import Recipients, create_recipient

__all__ = ["SeededFake"]


class SeededFake(FakePlastiq):
    """A fake that also has a recipient, whom any payer can pay, and a card.

    The card is that of `payer_id`. A reset brings both back.

    Attributes:
        recipient_id: ID of the recipient.
        payment_method_id: ID of the card.
    """

    recipient_id: ClassVar = UUID("2b7f0c3e-5d1a-4c86-9e0b-6a4f8d21c7b5")
    payment_method_id: ClassVar = UUID("e6a3d915-48bc-4f07-b2d4-90c15e7f3a68")

    def __init__(self) -> None:
        super().__init__()
        self._seed()

    @property
    def category_id(self) -> UUID:
        """The first category."""
        return next(iter(self._state.of(Categories).by_id))

    def reset(self) -> None:
        """Return to the initial state, with the recipient and the card."""
        super().reset()
        self._seed()

    def _seed(self) -> None:
        recipients = self._state.of(Recipients).by_id
        created = create_recipient(
            self._state,
            {
                "businessName": "Beans Inc.",
                "categoryId": str(self.category_id),
                "businessAddress": {"line1": "1 Main St", "country": "US"},
                "contact": {"email": "bob@example.com"},
                "receivingMethod": {
                    "type": "ACH",
                    "accountNumber": "3829473294723",
                    "routingNumber": "021000021",
                    "beneficiaryName": "Beans Inc.",
                },
            },
        )
        del recipients[created.id]
        recipients[self.recipient_id] = attrs.evolve(created, id=self.recipient_id)

        methods = self._state.of(PaymentMethods)
        card = methods.by_id.pop(add_card(self._state, self.payer_id, {}))
        methods.by_id[self.payment_method_id] = attrs.evolve(
            card, id=self.payment_method_id
        )
        # It does not count towards the 30 cards that a payer may add in a day.
        methods.cards_added.clear()
