"""What a plan costs: in sentences, as JSON, and as rows of a table. Amounts are in US dollars."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from nexus.model.costs import Cost, PlanCost, Rates, SandboxCost
from nexus.render.values import plural

Json = dict[str, object]

_PLACES = 6


def cost_to_json(cost: PlanCost) -> Json:
    return {
        "currency": "USD",
        "billed": cost.billed,
        "exact": not cost.assumed,
        "before": _amounts(cost.before),
        "after": _amounts(cost.after),
        "change": _amounts(cost.change),
        "sandboxes": [_sandbox_to_json(item) for item in cost.sandboxes],
        "rates": rates_to_json(cost.rates),
    }


def rates_to_json(rates: Rates) -> Json:
    return {
        "vcpu_second": float(rates.vcpu_second),
        "gib_second": float(rates.gib_second),
        "as_of": rates.as_of.isoformat(),
        "source": rates.source,
    }


def _sandbox_to_json(item: SandboxCost) -> Json:
    return {
        "address": str(item.address),
        "cpus": item.size.cpus,
        "memory_mib": item.size.memory,
        "assumed": item.assumed,
        "before": _amounts(item.before),
        "after": _amounts(item.after),
    }


def _amounts(cost: Cost) -> Json:
    return {
        "hour": float(round(cost.hour, _PLACES)),
        "until_end": float(round(cost.until_end, _PLACES)),
        "month": float(round(cost.month, _PLACES)),
    }


def cost_lines(cost: PlanCost) -> Iterator[str]:
    """What it comes to where the plan changes that, and whose size had to be assumed for it."""
    if not cost.change:
        return
    after = cost.after
    where = "Cost" if cost.billed else "Cost at E2B (nothing here)"
    yield (
        f"{where}: {dollars(after.hour)} an hour{_changed(cost)}, {dollars(after.until_end)} until timeout, "
        f"{dollars(after.month)} a month."
    )
    if cost.assumed:
        yield f"Assumed for it: the size of {assumed(cost)}."


def assumed(cost: PlanCost) -> str:
    """Whose size is not known for sure, shortened."""
    first = str(cost.assumed[0])
    more = len(cost.assumed) - 1
    return f"{first} and {plural(more, 'other')}" if more else first


def _changed(cost: PlanCost) -> str:
    return f" ({signed(cost.change.hour)})" if cost.before and cost.change.hour else ""


def cost_rows(cost: PlanCost) -> list[tuple[str, str, str, str]]:
    """What, now, after the plan, and the difference."""
    before, after, change = cost.before, cost.after, cost.change
    return [
        ("an hour", dollars(before.hour), dollars(after.hour), signed(change.hour)),
        (
            "until timeout",
            dollars(before.until_end),
            dollars(after.until_end),
            signed(change.until_end),
        ),
        ("a month", dollars(before.month), dollars(after.month), signed(change.month)),
    ]


def dollars(amount: Decimal) -> str:
    """To the cent; what is less than a dollar to a hundredth of one."""
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:.4f}"


def signed(amount: Decimal) -> str:
    return f"{'-' if amount < 0 else '+'}{dollars(abs(amount))}"
