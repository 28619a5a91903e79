"""What an apply is through with: each resource, and instances to which the same happens as one.

Between the events, which tell of single operations, and the lines and the board that people see.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from nexus.model.addresses import Address
from nexus.model.changes import Action, Operation, Plan
from nexus.model.events import OperationFinished, Outcome
from nexus.render.bundles import FOLD_FROM, alike, title
from nexus.render.words import QUIET_VERBS, done

_WORST_LAST: Final = (Outcome.UNCHANGED, Outcome.SUCCEEDED, Outcome.SKIPPED, Outcome.CANCELLED, Outcome.FAILED)


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds, monotonic."""


@dataclass(slots=True)
class Account:
    """One resource, or several instances that are told of as one. ``since`` is when its first operation began."""

    title: str
    action: Action | None
    open: Counter[Address]
    since: float | None = None
    outcomes: dict[Address, Outcome] = field(default_factory=dict)
    parts: list[tuple[str, float]] = field(default_factory=list)
    """What was done to it, in words, and how many seconds each took."""

    @property
    def count(self) -> int:
        return len(self.open)

    @property
    def is_fold(self) -> bool:
        return self.count >= FOLD_FROM

    @property
    def is_closed(self) -> bool:
        return not self.open.total()

    @property
    def closed(self) -> int:
        """How many of its resources are through."""
        return sum(1 for left in self.open.values() if not left)

    @property
    def begun(self) -> int:
        """How many have work behind them and work before them."""
        return sum(1 for address in self.outcomes if self.open[address])

    @property
    def outcome(self) -> Outcome:
        """The worst of all."""
        return max(self.outcomes.values(), key=_WORST_LAST.index, default=Outcome.UNCHANGED)

    @property
    def counts(self) -> Counter[Outcome]:
        return Counter(self.outcomes.values())

    def take(self, event: OperationFinished) -> None:
        operation = event.operation
        address = operation.address
        self.open[address] = max(self.open[address] - 1, 0)
        worst = (self.outcomes.get(address, Outcome.UNCHANGED), event.outcome)
        self.outcomes[address] = max(worst, key=_WORST_LAST.index)
        if event.outcome is Outcome.SUCCEEDED and operation.verb not in QUIET_VERBS:
            self.parts.append((done(operation, self.action), event.seconds))


@dataclass(slots=True)
class Ledger:
    """The accounts of one apply."""

    clock: Clock = time.monotonic
    _accounts: dict[Address, Account] = field(default_factory=dict)

    def open(self, plan: Plan, *, fold: bool) -> None:
        """An account for each resource of the plan; with ``fold``, one for many instances of a block."""
        actions = {change.address: change.action for change in plan.changes}
        open_ = Counter(operation.address for operation in plan.operations)
        for addresses in alike({item: actions.get(item) for item in open_}) if fold else ([item] for item in open_):
            self._open(addresses, actions.get(addresses[0]), Counter({item: open_[item] for item in addresses}))

    def account(self, operation: Operation) -> Account:
        address = operation.address
        if address not in self._accounts:
            self._open([address], None, Counter({address: 1}))
        return self._accounts[address]

    def start(self, operation: Operation) -> None:
        account = self.account(operation)
        if account.since is None:
            account.since = self.clock()

    def seconds(self, account: Account) -> float:
        """Since it was begun."""
        return 0.0 if account.since is None else self.clock() - account.since

    def _open(self, addresses: Sequence[Address], action: Action | None, open_: Counter[Address]) -> None:
        account = Account(title(addresses), action, open_)
        self._accounts.update(dict.fromkeys(addresses, account))
