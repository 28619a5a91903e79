"""The cost of a plan: every sandbox of the project as it runs now, and as it will run once the plan is done. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nexus.costs.rates import E2B_RATES, cost_of
from nexus.costs.sizes import BUILT, Sizes, observed_size
from nexus.kinds.sandbox_fields import DEFAULT_TIMEOUT
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.costs import FREE, Cost, PlanCost, SandboxCost, Size
from nexus.model.observation import Observation, Presence
from nexus.model.state import ResourceRecord, State
from nexus.planning import Evaluated, Evaluation
from nexus.planning.situation import situation_of

_FULL_TIME: Final = frozenset({Verb.CREATE, Verb.ARM, Verb.EXTEND, Verb.RESUME})
"""What gives a sandbox its whole time to live, from then on."""

_RUNS: Final = frozenset({Presence.RUNNING, Presence.READY})
"""READY stands for what is believed to be there because nobody looked."""


def cost_of_plan(
    plan: Plan, evaluation: Evaluation, state: State, observation: Observation, *, now: datetime, billed: bool
) -> PlanCost:
    """``billed`` says whether the target is E2B. What a plan deletes or forgets costs the project nothing any more."""
    reckoning = _Reckoning(plan, evaluation, state, observation, now)
    sandboxes = sorted(reckoning.sandboxes(), key=lambda item: item.address)
    return PlanCost(rates=E2B_RATES, billed=billed, sandboxes=tuple(item for item in sandboxes if _counts(item)))


def _counts(item: SandboxCost) -> bool:
    return bool(item.before) or bool(item.after)


@dataclass(frozen=True, slots=True)
class _Run:
    """A sandbox that runs, and for how many seconds yet."""

    size: Size
    assumed: bool
    seconds: int

    @classmethod
    def of(cls, size: Size | None, seconds: int) -> _Run:
        """Of the usual size where it is not known."""
        return cls(size or BUILT, size is None, seconds)

    @property
    def cost(self) -> Cost:
        return cost_of(self.size, self.seconds)


class _Reckoning:
    """One plan, sandbox by sandbox."""

    def __init__(
        self, plan: Plan, evaluation: Evaluation, state: State, observation: Observation, now: datetime
    ) -> None:
        self._state, self._observation, self._now = state, observation, now
        self._sizes = Sizes(state, evaluation)
        self._wanted = {item.spec.address: item for item in evaluation.evaluated() if _is_sandbox(item.spec.address)}
        self._operations: dict[Address, list[Operation]] = {}
        for operation in plan.operations:
            self._operations.setdefault(operation.address, []).append(operation)

    def sandboxes(self) -> Iterator[SandboxCost]:
        recorded = [record for record in self._state.resources.values() if _is_sandbox(record.address)]
        for address in dict.fromkeys((*(record.address for record in recorded), *self._wanted)):
            record = self._state.resources.get(address)
            before = None if record is None else self._now_running(record)
            yield _line(address, before, self._afterwards(address, record, before))
        for record in self._state.deposed:  # replaced already, and still to be deleted
            if _is_sandbox(record.address):
                before = self._now_running(record)
                yield _line(record.address, before, None if self._goes(record) else before)

    def _now_running(self, record: ResourceRecord) -> _Run | None:
        situation = situation_of(record, self._observation)
        if situation.presence not in _RUNS:
            return None
        left = situation.seconds_left(self._now)
        seconds = _timeout(record.attributes.get("timeout")) if left is None else max(int(left), 0)
        return _Run.of(self._size_of(record), seconds)

    def _afterwards(self, address: Address, record: ResourceRecord | None, before: _Run | None) -> _Run | None:
        wanted = self._wanted.get(address)
        verbs = {operation.verb for operation in self._operations.get(address, ())}
        if wanted is not None and Verb.CREATE in verbs:
            return _Run.of(self._size_wanted(wanted), _wanted_time(wanted))
        if record is None:
            return self._taken_over(address, wanted) if wanted is not None and Verb.ADOPT in verbs else None
        if self._goes(record):
            return None
        if wanted is not None and verbs & _FULL_TIME:
            return _Run.of(self._size_of(record), _wanted_time(wanted))
        return before

    def _taken_over(self, address: Address, wanted: Evaluated) -> _Run | None:
        seen = self._observation.imports.get(address)
        if seen is None or seen.presence is not Presence.RUNNING:
            return None
        return _Run.of(observed_size(seen) or self._size_wanted(wanted), _wanted_time(wanted))

    def _size_of(self, record: ResourceRecord) -> Size | None:
        seen = observed_size(self._observation.records.get(record.uid))
        return seen or self._sizes.of(record.attributes.get("template"))

    def _size_wanted(self, wanted: Evaluated) -> Size | None:
        return self._sizes.of(wanted.concealed.get("template"), wanted.spec.depends_on)

    def _goes(self, record: ResourceRecord) -> bool:
        operations = self._operations.get(record.address, ())
        return any(item.verb in (Verb.DELETE, Verb.FORGET) and item.uid == record.uid for item in operations)


def _line(address: Address, before: _Run | None, after: _Run | None) -> SandboxCost:
    run = after or before or _Run(BUILT, assumed=False, seconds=0)
    return SandboxCost(
        address=address,
        size=run.size,
        assumed=any(item.assumed for item in (before, after) if item is not None),
        before=FREE if before is None else before.cost,
        after=FREE if after is None else after.cost,
    )


def _is_sandbox(address: Address) -> bool:
    return address.kind == "sandbox"


def _wanted_time(wanted: Evaluated) -> int:
    return _timeout(wanted.concealed.get("timeout"))


def _timeout(value: object) -> int:
    """Seconds; the usual time to live where it is not known before apply."""
    return value if isinstance(value, int) else DEFAULT_TIMEOUT
