"""E2B's public rates, as data with a date, and the one formula that goes with them.

From https://e2b.dev/docs/faq/calculate-sandbox-price (as of 2026-08-06) and https://e2b.dev/docs/billing: a sandbox is
charged by the second for the CPUs and the memory that its template allots it, used or not, while it runs; one that is
paused costs nothing, and the disk is included. E2B may change its prices: https://e2b.dev/pricing has those of today.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Final

from nexus.model.costs import Cost, Rates, Size

E2B_RATES: Final = Rates(
    vcpu_second=Decimal("0.000014"),
    gib_second=Decimal("0.0000045"),
    as_of=date(2026, 8, 6),
    source="https://e2b.dev/docs/faq/calculate-sandbox-price",
)

HOUR: Final = 3600
MONTH: Final = 730 * HOUR
"""Seconds of a twelfth of a year, as clouds reckon."""


def cost_of(size: Size, seconds: int, rates: Rates = E2B_RATES) -> Cost:
    """What a running sandbox costs that has ``seconds`` left to live."""
    second = rates.per_second(size)
    return Cost(hour=second * HOUR, until_end=second * max(seconds, 0), month=second * MONTH)
