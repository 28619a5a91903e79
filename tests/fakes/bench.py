"""A workbench: one cloud, one memory of stores, and runs of the executor over them, each like a new process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from nexus.executor import ApplyResult, Executor, Limits, Resolve, recover
from nexus.model.changes import Plan
from nexus.model.state import State
from nexus.stores import Memory, commit, load
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import FakeCloud, FakeProvider, Faults, no_faults
from tests.fakes.desired import NoFiles, World
from tests.fakes.sinks import RecordingSink

FRESH = State(lineage="lin", project="shop")


@dataclass(slots=True)
class Bench:
    clock: ManualClock
    cloud: FakeCloud = field(default_factory=FakeCloud)
    memory: Memory = field(default_factory=Memory)
    limits: Limits = field(default_factory=Limits)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))
    sink: RecordingSink = field(default_factory=RecordingSink)
    provider: FakeProvider | None = None
    executor: Executor | None = None

    async def state(self) -> State:
        return (await load(self.memory.backend(), FRESH)).state

    def start(self, faults: Faults = no_faults, estimate: Callable[..., float] | None = None) -> Executor:
        """A new process: nothing but the cloud and the stores is left of the one before."""
        self.sink = RecordingSink()
        self.provider = FakeProvider(self.cloud, self.clock, faults=faults)
        options = {} if estimate is None else {"estimate": estimate}
        self.executor = Executor(
            self.provider,
            self.memory.backend().journal,
            self.sink,
            ids=lambda: f"id{next(self.numbers)}",
            clock=self.clock,
            chance=lambda: 0.5,
            limits=self.limits,
            **options,
        )
        return self.executor

    async def run(self, plan: Plan, resolve: Resolve, faults: Faults = no_faults) -> ApplyResult:
        """One plan on the state as it is, committed."""
        executor = self.start(faults)
        result = await executor.run(plan, await self.state(), resolve, NoFiles())
        if plan.operations:
            await commit(self.memory.backend(), result.state)
        return result

    async def apply(self, world: World, faults: Faults = no_faults) -> ApplyResult:
        """A whole apply: recover, commit, forget what is gone, plan, walk, commit."""
        executor = self.start(faults)
        assert self.provider is not None
        backend = self.memory.backend()
        loaded = await load(backend, FRESH)
        recovered = await recover(self.provider, loaded.state, self.clock.now())
        state = await commit(backend, recovered.state)
        result = await executor.run(world.plan(state), state, world.resolve, NoFiles())
        await commit(backend, result.state)
        return result
