"""What running sandboxes costs, and what a plan changes about it. Amounts are exact, in US dollars."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from nexus.model.addresses import Address

NOTHING = Decimal(0)


@dataclass(frozen=True, slots=True)
class Size:
    """What a sandbox is given, used or not. ``memory`` is in MiB."""

    cpus: int
    memory: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """Prices of a second of one CPU, and of one GiB of memory, with the day on which ``source`` said so."""

    vcpu_second: Decimal
    gib_second: Decimal
    as_of: date
    source: str

    def per_second(self, size: Size) -> Decimal:
        """The price of a second of a sandbox that runs. A 1024th is a whole decimal, so nothing is rounded."""
        return size.cpus * self.vcpu_second + Decimal(size.memory) / 1024 * self.gib_second


@dataclass(frozen=True, slots=True)
class Cost:
    """An hour, the time until all sandboxes have ended if nothing extends them, and a month in which they live."""

    hour: Decimal = NOTHING
    until_end: Decimal = NOTHING
    month: Decimal = NOTHING

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.hour + other.hour, self.until_end + other.until_end, self.month + other.month)

    def __sub__(self, other: Cost) -> Cost:
        return Cost(self.hour - other.hour, self.until_end - other.until_end, self.month - other.month)

    def __bool__(self) -> bool:
        return self != FREE


FREE = Cost()


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxCost:
    """What one sandbox costs as things are, and once the plan is done. ``assumed``: its size is not known for sure."""

    address: Address
    size: Size
    assumed: bool
    before: Cost
    after: Cost


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanCost:
    """Every sandbox that runs before or after. Where ``billed`` is false it is what E2B would charge for the same."""

    rates: Rates
    billed: bool
    sandboxes: tuple[SandboxCost, ...] = ()

    @property
    def before(self) -> Cost:
        return sum((item.before for item in self.sandboxes), FREE)

    @property
    def after(self) -> Cost:
        return sum((item.after for item in self.sandboxes), FREE)

    @property
    def change(self) -> Cost:
        return self.after - self.before

    @property
    def assumed(self) -> tuple[Address, ...]:
        """Sandboxes whose size is not known for sure."""
        return tuple(item.address for item in self.sandboxes if item.assumed)
