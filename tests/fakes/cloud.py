"""A cloud in memory behind the Provider protocol, with scripted failures, lost answers and a clock of its own.

The cloud outlives the provider: a test that ends a run in its middle makes a new provider on the same cloud.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from nexus.executor.clock import Clock
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import error
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import Intent, State, Target
from nexus.providers import Call, Certainty, Found, Gone, LimitReached, ProviderError, Result, record_after
from nexus.providers.operating import Usage


@dataclass(slots=True)
class Thing:
    """One live object. ``done`` are the units done in it, with their digests, in order."""

    id: str
    address: Address
    uid: str
    key: str
    created_at: str
    done: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with one call: before its effect, or after it (a lost answer)."""

    error: ProviderError | Exception
    after_effect: bool = False


@dataclass(slots=True)
class FakeCloud:
    """``honours_keys`` False is a deployment that makes another sandbox when a create is repeated."""

    honours_keys: bool = True
    limit: int | None = None
    things: dict[str, Thing] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def at(self, address: Address) -> list[Thing]:
        return [thing for thing in self.things.values() if thing.address == address]


Faults = Callable[[Operation, int], "Fault | None"]
"""Asked before each call, with how often this operation was called before."""


def no_faults(operation: Operation, attempt: int) -> Fault | None:
    return None


class FakeProvider:
    def __init__(self, cloud: FakeCloud, clock: Clock, *, seconds: float = 1.0, faults: Faults = no_faults) -> None:
        self.cloud = cloud
        self.calls: list[str] = []
        self.most_at_once = 0
        self.overlapping_addresses = False
        self._clock = clock
        self._seconds = seconds
        self._faults = faults
        self._attempts: Counter[str] = Counter()
        self._running: list[Address] = []

    async def identity(self) -> Target:
        return Target("local", "fake")

    async def observe(self, state: State, catalogue: Mapping[Address, str], *, count_all: bool = False) -> Observation:
        records = [*state.resources.values(), *state.deposed]
        return Observation(
            records={
                record.uid: Observed(
                    id=record.id, presence=Presence.READY if record.id in self.cloud.things else Presence.GONE
                )
                for record in records
            }
        )

    async def look_inside(self, state: State, observation: Observation) -> Observation:
        return replace(observation, deep=True)

    async def measure(self, ids: Sequence[str]) -> Mapping[str, Usage]:
        return {}

    async def find(self, state: State, intents: Sequence[Intent]) -> Mapping[str, tuple[Found, ...]]:
        return {
            intent.key: tuple(
                Found(id=thing.id, outputs={"id": thing.id}, created_at=thing.created_at)
                for thing in self.cloud.things.values()
                if thing.key == intent.key
            )
            for intent in intents
        }

    async def execute(self, call: Call) -> Result:
        operation = call.operation
        attempt = self._attempts[operation.id]
        self._attempts[operation.id] += 1
        self.calls.append(f"{operation.id} {call.key}")
        self.overlapping_addresses |= call.address in self._running
        self._running.append(call.address)
        self.most_at_once = max(self.most_at_once, len(self._running))
        try:
            fault = self._faults(operation, attempt)
            if fault is not None and not fault.after_effect:
                await self._clock.sleep(self._seconds / 2)
                raise fault.error
            await self._clock.sleep(self._seconds / 2)
            result = self._effect(call)
            await self._clock.sleep(self._seconds / 2)
            if fault is not None:
                raise fault.error
            return result
        finally:
            self._running.remove(call.address)

    async def discard(self, intent: Intent, found: Found) -> None:
        self.cloud.things.pop(found.id, None)

    async def aclose(self) -> None:
        pass

    def _effect(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.CREATE:
                thing = self._create(call)
                return Result(record_after(call, id=thing.id, outputs={"id": thing.id}, created_at=thing.created_at))
            case Verb.DELETE:
                assert call.record is not None
                self.cloud.things.pop(call.record.id, None)
                return Result(None)
            case Verb.RUN_STEP:
                return Result(record_after(call, id=f"run-{call.key}"))
            case Verb.RECORD:
                return Result(record_after(call))
            case _:
                assert call.record is not None
                if call.record.id not in self.cloud.things:
                    raise Gone(error("sandbox-gone", "The sandbox is gone"))
                done = call.unit.digest if call.unit is not None and call.unit.digest is not None else ""
                self.cloud.things[call.record.id].done.append((call.operation.unit, done))
                return Result(record_after(call))

    def _create(self, call: Call) -> Thing:
        same = [thing for thing in self.cloud.things.values() if thing.key == call.key]
        if same and self.cloud.honours_keys:
            return same[0]
        if self.cloud.limit is not None and len(self.cloud.things) >= self.cloud.limit:
            raise LimitReached(error("limit-reached", "The account has as many sandboxes as it may have"))
        thing = Thing(
            id=f"sbx{next(self.cloud.numbers)}",
            address=call.address,
            uid=call.uid,
            key=call.key,
            created_at=self._clock.now().isoformat(),
        )
        self.cloud.things[thing.id] = thing
        return thing


def failing(certainty: Certainty, *, retry_after: float | None = None, after_effect: bool = False) -> Fault:
    return Fault(
        ProviderError(error("call-failed", "The call failed"), certainty, retry_after=retry_after), after_effect
    )
