"""Thousands of steps of a project's life in memory: edits, outside changes, time, failures, ends at any moment.

Loading, planning, the executor, recovery and the stores are the real ones; only the account is in memory, and time
jumps. Whenever everything is left alone, one apply has to bring about exactly what is wanted, and no more than planned.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from nexus.model.changes import Operation, Plan, PlanOptions, Verb
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import State
from nexus.stores import Backend, Entry, LockInfo, Memory
from nexus.workflows import applying, planning
from nexus.workflows.applying import Applied, ApplyRequest
from nexus.workflows.loading import LoadRequest, Project, load
from nexus.workflows.session import Session
from tests.campaigns.account import Account, AccountProvider, Box, Trouble
from tests.campaigns.drafts import Draft
from tests.fakes.clock import ManualClock

EXAMPLES = int(os.environ.get("NEXUS_CAMPAIGN_EXAMPLES", "25"))
STEPS = int(os.environ.get("NEXUS_CAMPAIGN_STEPS", "30"))
SECRETS = ("Zq7/+s33d", "Kw9/+t0ken")

T = TypeVar("T")


class DeathError(BaseException):
    """The process ends here; nothing after it takes place."""


@dataclass(slots=True)
class Life:
    """How many more things a process does before it ends; None lives on."""

    left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise DeathError


@dataclass(slots=True)
class World:
    """The account, what is remembered, and time: all that outlives a process."""

    account: Account = field(default_factory=Account)
    memory: Memory = field(default_factory=Memory)
    clock: ManualClock = field(default_factory=ManualClock)

    def twin(self) -> World:
        """Another world in which the same has happened."""
        clock = ManualClock()
        clock.advance(self.clock.monotonic())
        memory = Memory(state=self.memory.state, header=self.memory.header, entries=list(self.memory.entries))
        account = replace(copy.deepcopy(replace(self.account, numbers=iter(()))), numbers=iter(range(10**6, 10**9)))
        return World(account, memory, clock)


def backend_of(memory: Memory, life: Life) -> Backend:
    """Stores that end the process before and after each thing that is kept."""
    backend = memory.backend()
    journal, states = backend.journal, backend.states

    class Journal(type(journal)):  # type: ignore[misc]
        async def append(self, entry: Entry) -> None:
            life.step()
            await super().append(entry)
            life.step()

        async def clear(self) -> None:
            life.step()
            await super().clear()

    class Store(type(states)):  # type: ignore[misc]
        async def write(self, state: State, expected_serial: int | None) -> None:
            life.step()
            await super().write(state, expected_serial)
            life.step()

    return replace(backend, journal=Journal(memory), states=Store(memory))


def simulate(story: Coroutine[Any, Any, T], clock: ManualClock) -> T:
    """To the end, with time that jumps."""

    async def with_time() -> T:
        passing = asyncio.create_task(clock.run())
        try:
            return await story
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)

    return asyncio.run(with_time())


class ProjectLife(RuleBasedStateMachine):
    """What can happen to a project, and what holds of it whenever it is left alone."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="nexus-machine-"))
        self.world = World()
        self.draft = Draft(most=4)
        self.secret = SECRETS[0]
        self.numbers = 0
        self.saved: Plan | None = None
        self.inside_changed = False
        self.told: list[str] = []
        foreign = Box(id="foreign", template="any", ends=self._far, created=self.world.clock.now())
        self.world.account.boxes["foreign"] = foreign

    @property
    def _far(self) -> Any:
        return self.world.clock.now().replace(year=9000)

    # ---- runs

    def project(self) -> Project:
        (self.folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: shop\n{self.draft.text()}")
        return load(LoadRequest(path=self.folder, process={"TOKEN": self.secret}))

    def session(self, provider: AccountProvider, world: World, life: Life | None = None) -> Session:
        return Session(
            provider=provider,
            backend=backend_of(world.memory, life or Life()),
            clock=world.clock,
            ids=self._new_id,
            holder=lambda operation: LockInfo(holder="me", pid=1, operation=operation, since="now", id=self._new_id()),
            keep_secret=lambda values: None,
        )

    def _new_id(self) -> str:
        self.numbers += 1
        return f"id{self.numbers}"

    def apply(
        self,
        options: PlanOptions,
        *,
        concurrency: int = 8,
        chance: random.Random | None = None,
        share: float = 0.0,
        life: int | None = None,
        saved: Plan | None = None,
        world: World | None = None,
    ) -> tuple[Applied | None, AccountProvider, Plan | None]:
        """One process's apply; without an answer where it ended early or refused."""
        world = world or self.world
        living, plans = Life(life), []
        troubles = list(Trouble)

        def trouble(operation: Operation) -> Trouble | None:
            return chance.choice(troubles) if chance is not None and chance.random() < share else None

        def blind() -> bool:
            return chance is not None and chance.random() < share / 4

        def approve(plan: Plan) -> bool:
            plans.append(plan)
            return True

        provider = AccountProvider(world.account, world.clock, trouble=trouble, alive=living.step, blind=blind)
        session = self.session(provider, world, living)
        request = ApplyRequest(options=options, parallelism=concurrency, saved=_saved(saved))
        project = self.project()
        story = applying.apply(
            project, session, request, approve=approve, sink=lambda event: None, bind_interrupt=lambda end: None
        )
        applied = None
        try:
            applied = simulate(story, world.clock)
        except DiagnosticsError as refused:
            self.told += [str(item) for item in refused.diagnostics]
        except (DeathError, BaseExceptionGroup) as end:
            if not _is_death(end):
                raise
        finally:
            world.memory.lock = None
        if applied is not None:
            self.told += [str(item) for item in applied.diagnostics]
            assert applied.result is None or not applied.result.bugs, applied.result.bugs
        return applied, provider, plans[0] if plans else None

    def plan(self, *, deep: bool) -> Plan:
        provider = AccountProvider(self.world.account, self.world.clock)
        session = self.session(provider, self.world)
        story = planning.plan(self.project(), session, PlanOptions(deep=deep))
        return simulate(story, self.world.clock).plan

    @property
    def state(self) -> State:
        state = self.world.memory.state
        return State(lineage="") if state is None else state

    # ---- what can happen

    @initialize(chance=st.randoms(use_true_random=False))
    def begin(self, chance: random.Random) -> None:
        for _ in range(3):
            self.draft.change(chance)

    @rule(chance=st.randoms(use_true_random=False), times=st.integers(1, 3))
    def edit(self, chance: random.Random, times: int) -> None:
        for _ in range(times):
            self.draft.change(chance)

    @rule()
    def rotate(self) -> None:
        self.secret = SECRETS[self.secret == SECRETS[0]]

    @rule(
        chance=st.randoms(use_true_random=False),
        share=st.sampled_from([0.0, 0.1, 0.3]),
        concurrency=st.sampled_from([1, 8]),
        deep=st.booleans(),
    )
    def apply_in_trouble(self, chance: random.Random, share: float, concurrency: int, deep: bool) -> None:
        self.apply(PlanOptions(deep=deep), concurrency=concurrency, chance=chance, share=share)

    @rule(
        chance=st.randoms(use_true_random=False),
        share=st.sampled_from([0.0, 0.2]),
        life=st.integers(0, 80),
        destroy=st.sampled_from([False, False, False, True]),
    )
    def apply_that_dies(self, chance: random.Random, share: float, life: int, destroy: bool) -> None:
        self.apply(PlanOptions(destroy=destroy), chance=chance, share=share, life=life)

    @rule()
    def save_a_plan(self) -> None:
        try:
            self.saved = self.plan(deep=False)
        except DiagnosticsError as refused:
            self.told += [str(item) for item in refused.diagnostics]

    @rule()
    def apply_the_saved_plan(self) -> None:
        """Exactly what was saved, or nothing at all."""
        if self.saved is None:
            return
        saved, self.saved = self.saved, None
        applied, provider, _ = self.apply(PlanOptions(), saved=saved)
        planned = Counter(map(_essence, saved.operations))
        assert Counter(map(_essence, provider.calls)) <= planned or applied is None

    @rule(seconds=st.sampled_from([30, 119, 125, 400, 1300, 5000]))
    def time_passes(self, seconds: int) -> None:
        self.world.clock.advance(seconds)
        self.world.account.pass_to(self.world.clock.now())

    @rule(chance=st.randoms(use_true_random=False))
    def somebody_interferes(self, chance: random.Random) -> None:
        account = self.world.account
        ours = {record.id for record in self.state.resources.values()}
        boxes = [box for box in account.boxes.values() if box.id in ours]
        deed = chance.choice(["kill", "pause", "edit", "edit", "network", "tag", "template", "snapshot", "volume"])
        if deed in ("kill", "pause", "edit", "network"):
            if not boxes:
                return
            box = chance.choice(boxes)
            match deed:
                case "kill":
                    del account.boxes[box.id]
                case "pause":
                    box.paused = True
                case "edit" if box.done:
                    del box.done[chance.choice(sorted(box.done))]
                    self.inside_changed = True
                case _:
                    box.network = {"internet": True, "allow": [], "deny": ["9.9.9.9"]}
                    self.inside_changed = True
        elif deed == "tag" and account.templates:
            builds = next(iter(account.templates.values())).builds
            if builds:
                del builds[chance.choice(sorted(builds))]
        elif deed == "template":
            account.templates.clear()
        elif deed == "snapshot":
            account.snapshots.clear()
        elif deed == "volume":
            account.volumes.clear()

    # ---- what must hold

    @invariant()
    def what_is_not_ours_is_left_alone(self) -> None:
        assert "foreign" in self.world.account.boxes

    @invariant()
    def no_secret_is_kept_or_told(self) -> None:
        memory = self.world.memory
        kept = repr((memory.state, memory.header, memory.entries, self.told[-20:]))
        assert not any(secret in kept for secret in SECRETS)

    @rule(first=st.sampled_from([1, 2]))
    def left_alone(self, first: int) -> None:
        """One apply, one at a time and many at once: the same end, as planned, and nothing more to do."""
        twin, numbers = self.world.twin(), self.numbers
        options = PlanOptions(deep=self.inside_changed)
        paused = any(box.paused for box in self.world.account.boxes.values())
        applied, provider, plan = self.apply(options, concurrency=16)
        assert applied is not None, self.told[-3:]
        assert applied.result is None or applied.result.succeeded, applied.result.diagnostics
        if self.inside_changed and paused:  # nobody can look into what is paused
            self.apply(PlanOptions(deep=True))
        self.inside_changed = False
        planned = Counter(map(_essence, plan.operations if plan is not None else ()))
        assert Counter(map(_essence, provider.calls)) <= planned
        self.is_as_wanted()
        self.numbers = numbers
        ended, _, _ = self.apply(options, concurrency=first, world=twin)
        if options.deep and paused:
            self.apply(options, concurrency=first, world=twin)
        self.numbers += 10_000
        assert ended is not None
        assert _shape(twin) == _shape(self.world)

    def _destroyed(self) -> None:
        applied, _, _ = self.apply(PlanOptions(destroy=True))
        assert applied is not None
        assert applied.result is None or applied.result.succeeded

    def is_as_wanted(self) -> None:
        state, account = self.state, self.world.account
        for deep in (False, True):
            again = self.plan(deep=deep)
            assert again.is_empty, again.describe()
        assert (state.deposed, state.verify()) == ((), ())
        assert {intent.verb for intent in state.pending} <= {"create"}  # these may turn up yet
        wanted = {str(address): record.id for address, record in state.resources.items() if address.kind == "sandbox"}
        assert set(wanted) == self.draft.addresses()
        now = self.world.clock.now()
        live = {box.id for box in account.boxes.values() if not box.released} - {"foreign"}
        leased = {box.id for box in account.boxes.values() if (box.ends - now).total_seconds() <= 121}
        assert set(wanted.values()) <= live
        assert live - set(wanted.values()) <= leased, "leaked"
        ids = {str(address): record.id for address, record in state.resources.items()}
        assert {built.id for built in account.templates.values()} == _of("template", ids)
        assert set(account.volumes.values()) == _of("volume", ids)
        snapshots = {name.rpartition(":")[0] for name in account.snapshots}
        setups = {
            str(record.attributes["name"]) for record in state.resources.values() if record.address.kind == "setup"
        }
        released = any(box.released for box in account.boxes.values())  # what they stand on stays
        assert snapshots <= setups or released, "leaked"  # one that somebody removed is made again when it is needed

    def teardown(self) -> None:
        """It all goes well in the end, unless it is over because something was wrong."""
        try:
            if sys.exc_info()[0] is not None:
                return
            self.left_alone(1)
            self._destroyed()
            self.world.clock.advance(300)  # nothing that a lost create began can turn up after that
            self._destroyed()
            assert self.state.is_empty
            account = self.world.account
            account.pass_to(self.world.clock.now())
            released = any(box.released for box in account.boxes.values())
            left = {box.id for box in account.boxes.values() if not box.released}
            assert (left, account.templates, account.volumes) == ({"foreign"}, {}, {})
            assert released or not account.snapshots
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def _essence(operation: Operation) -> tuple[Verb, str, str, str]:
    return operation.verb, str(operation.address), operation.unit, operation.uid


def _of(kind: str, ids: dict[str, str]) -> set[str]:
    return {id for address, id in ids.items() if address.startswith(f"{kind}.")}


def _is_death(end: BaseException) -> bool:
    if isinstance(end, BaseExceptionGroup):
        return all(map(_is_death, end.exceptions))
    return isinstance(end, DeathError)


def _saved(plan: Plan | None) -> Any:
    from nexus.planning import format_saved, parse_saved

    return None if plan is None else parse_saved(format_saved(plan), "saved")


def _shape(world: World) -> Any:
    """What is remembered, without what differs from run to run: ids, uids, times."""
    state = world.memory.state
    if state is None:
        return None
    names = {record.id: str(address) for address, record in state.resources.items()}

    def plain(value: Any) -> Any:
        match value:
            case dict():
                return {key: plain(item) for key, item in value.items() if key not in ("build_id",)}
            case list():
                return [plain(item) for item in value]
            case _:
                return names.get(value, value) if isinstance(value, str) else value

    return {
        str(address): (plain(dict(record.attributes)), sorted(record.setup), record.depends_on, record.on_destroy)
        for address, record in state.resources.items()
    }


TestProjectLife = ProjectLife.TestCase
TestProjectLife.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Chance decides most of it, so making a failure smaller takes minutes and gains little.
    phases=(Phase.explicit, Phase.generate),
)
