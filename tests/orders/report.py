"""The audit of all purchases by what the server knows, and its report."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import attrs

from tests.orders.shop import UNEXPLAINED, Purchase, Shop

# Number of failures that are shown in full.
MOST_SHOWN = 20


@attrs.define(kw_only=True)
class Report:
    """The result of a run.

    Attributes:
        verdicts: Number of purchases by verdict and how it was found.
        unclear: Number of unclear outcomes by explanation. Most become clear later.
        seen: Number of requests and of faults of each kind.
        orders: Number of orders that were stored.
        crashes: Number of processes that crashed.
        cancelled: Number of calls that were cancelled.
        charges: Number of charges by the server's count.
        failures: What must not have happened.
    """

    verdicts: Counter[tuple[str, str]] = attrs.field(factory=Counter)
    unclear: Counter[str] = attrs.field(factory=Counter)
    seen: Counter[str] = attrs.field(factory=Counter)
    orders: int = 0
    crashes: int = 0
    cancelled: int = 0
    charges: int = 0
    failures: list[str] = attrs.field(factory=list)

    def __str__(self) -> str:
        lines = [
            "FAILED" if self.failures else "OK",
            "",
            *(f"- {failure}" for failure in self.failures[:MOST_SHOWN]),
            f"{self.verdicts.total():7} purchases",
            *(f"{n:7} {v}: {how}" for (v, how), n in sorted(self.verdicts.items())),
            "",
            *(f"{n:7} unclear outcomes: {why}" for why, n in self.unclear.items()),
            f"{self.orders:7} orders stored",
            f"{self.charges:7} charges",
            f"{self.cancelled:7} calls cancelled",
            f"{self.crashes:7} processes crashed",
            *(f"{n:7} requests: {name}" for name, n in self.seen.most_common()),
        ]
        return "\n".join(lines)


def audit(shop: Shop) -> Report:
    """Compare what the shop believes with what the server knows."""
    fake = shop.world.fake
    report = Report(
        unclear=shop.unclear,
        seen=shop.world.seen,
        crashes=shop.crashes,
        cancelled=shop.cancelled,
        charges=fake.charges,
    )
    accounted = 0
    for purchase in shop.purchases:
        paid = [id_ for one in purchase.intents for id_ in fake.payments_of(one)]
        accounted += len(paid)
        report.orders += len(purchase.intents)
        report.verdicts[str(purchase.verdict), purchase.how] += 1
        keys = [len(shop.world.keys[one]) for one in purchase.intents]
        if max(keys, default=0) > 1:
            report.failures.append(f"one order with several keys: {purchase}")
        if problem := _find_problem(purchase, paid):
            report.failures.append(f"{problem}: {purchase}")
    if accounted != fake.charges:
        report.failures.append(f"{fake.charges - accounted} charges of no purchase")
    report.failures += [
        f"unclear for no reason: {why}"
        for why in shop.unclear
        if why.startswith(UNEXPLAINED)
    ]
    return report


def _find_problem(purchase: Purchase, paid: list[UUID]) -> str | None:
    """Return what is wrong with a purchase, or None."""
    problem = None
    match purchase.verdict:
        case None:
            problem = "forgotten"
        case "charged" if not paid:
            problem = "not charged, but believed to be"
        case "charged" if purchase.payment_id not in paid:
            problem = "believed to have another payment"
        case "not charged" if paid:
            problem = "charged, but believed not to be"
    return "charged twice" if len(paid) > 1 else problem
