"""Taking from a pool: one sandbox for one who takes, whatever ends it in between, and none is forgotten."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.executor import recover
from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.pools import Readiness
from nexus.model.state import ResourceRecord, State, Target
from nexus.planning import without_taken
from nexus.providers.base import Certainty, Gone, ProviderError
from nexus.providers.operating import LiveSandbox
from nexus.stores import Entry, LockInfo, Memory, commit, load
from nexus.stores.memory import MemoryJournal, MemoryStateStore
from nexus.workflows import taking
from nexus.workflows.loading import LoadRequest, Project
from nexus.workflows.loading import load as load_project
from nexus.workflows.pools import standings, taken_named
from nexus.workflows.session import Stores
from nexus.workflows.taking import Around, PoolEmptyError, TakenSandbox, Wish
from tests.fakes.applier import World
from tests.fakes.clock import ManualClock

MANIFEST = "sandboxes:\n  agent: {template: base, timeout: 1h, pool: 2, run_commands: [make ready]}\n"
AGENT = Address("sandbox", "agent")
HERE = Target("local")
START = datetime(2026, 1, 1, tzinfo=UTC)
SIZE = 2


class KilledError(BaseException):
    """The process is no more."""


@dataclass
class Fate:
    """After how many steps of whoever works the process is killed; None for never."""

    steps: int | None = None

    def step(self) -> None:
        if self.steps is None:
            return
        if self.steps == 0:
            self.steps = None
            raise KilledError
        self.steps -= 1


@dataclass
class FakeOperator:
    """What taking asks, of sandboxes that are only ids. ``failure`` is what the next claim comes to."""

    fate: Fate
    there: dict[str, LiveSandbox] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    failure: ProviderError | None = None

    async def list(self, labels: Mapping[str, str]) -> Sequence[LiveSandbox]:
        assert labels == {"nexus.project": "demo", "nexus.environment": "default"}
        return list(self.there.values())

    async def claim(self, sandbox_id: str, lifetime: int, *, again: bool = False) -> LiveSandbox | None:
        self.fate.step()
        if self.failure is not None:
            failure, self.failure = self.failure, None
            raise failure
        if sandbox_id not in self.there:
            raise Gone(error("sandbox-not-found", "It is gone"))
        if sandbox_id in self.marked and not again:
            return None
        self.marked.add(sandbox_id)
        self.fate.step()
        self.there[sandbox_id] = replace(
            self.there[sandbox_id], status="running", expires_at=START + timedelta(seconds=lifetime)
        )
        return self.there[sandbox_id]


class MortalJournal(MemoryJournal):
    def __init__(self, memory: Memory, fate: Fate) -> None:
        super().__init__(memory)
        self._fate = fate

    async def append(self, entry: Entry) -> None:
        self._fate.step()
        await super().append(entry)
        self._fate.step()


class MortalStates(MemoryStateStore):
    def __init__(self, memory: Memory, fate: Fate) -> None:
        super().__init__(memory)
        self._fate = fate

    async def write(self, state: State, expected_serial: int | None) -> None:
        self._fate.step()
        await super().write(state, expected_serial)
        self._fate.step()


def _whole_member() -> ResourceRecord:
    world = World()
    world.apply(MANIFEST)
    return world.state.resources[Address("sandbox", "agent", "0")]


MEMBER = _whole_member()


class Desk:
    """One state and its sandboxes, and processes that take, fill and die on it."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.memory = Memory()
        self.fate = Fate()
        self.operator = FakeOperator(self.fate)
        self.clock = ManualClock()
        self.numbers = itertools.count(1)
        self.made: set[str] = set()

    def around(self) -> Around:
        backend = replace(
            self.memory.backend(),
            journal=MortalJournal(self.memory, self.fate),
            states=MortalStates(self.memory, self.fate),
        )
        return Around(
            stores=Stores(backend=backend, holder=self._holder),
            operator=self.operator,  # type: ignore[arg-type]  # the part of it that taking uses
            account=HERE,
            clock=self.clock,
            ids=lambda: f"key-{next(self.numbers)}",
        )

    def _holder(self, operation: str) -> LockInfo:
        return LockInfo(holder="ada@desk", pid=1, operation=operation, since="", id=str(next(self.numbers)))

    async def fill(self) -> None:
        """As an apply does: what was interrupted is resolved first, then empty places are filled."""
        backend = self.memory.backend()
        loaded = await load(backend, State(lineage="l", project="demo", target=HERE))
        state = (await recover(None, loaded.state, self.clock.now())).state  # type: ignore[arg-type]  # none is created
        for place in map(str, range(SIZE)):
            address = replace(AGENT, key=place)
            there = state.resources.get(address)
            if there is None or there.id not in self.operator.there:
                sandbox_id = f"sandbox{next(self.numbers)}"
                self.made.add(sandbox_id)
                self.operator.there[sandbox_id] = live(sandbox_id)
                record = replace(MEMBER, address=address, id=sandbox_id, uid=f"uid-{sandbox_id}")
                state = state.with_records([record])
        await commit(backend, state)

    async def take(self, **wish: object) -> TakenSandbox:
        return await taking.take(self.project, self.around(), Wish(pool=AGENT, **wish))  # type: ignore[arg-type]

    async def state(self) -> State:
        return (await load(self.memory.backend(), State(lineage="l"))).state


def live(sandbox_id: str, status: str = "running") -> LiveSandbox:
    return LiveSandbox(
        id=sandbox_id, status=status, template="base", started_at=START, expires_at=START, cpus=1, memory_mib=1
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("pool")
    (folder / "nexus.yaml").write_text(f"apiVersion: nexus/v1\nproject: demo\n{MANIFEST}")
    return load_project(LoadRequest(path=folder, process={}))


@pytest.fixture
async def desk(project: Project) -> Desk:
    desk = Desk(project)
    await desk.fill()
    return desk


async def test_what_is_taken_is_recorded_with_who_when_and_what_for(desk: Desk) -> None:
    taken = await desk.take(lifetime=600, purpose="a page")
    assert taken.record.address == Address("sandbox", "agent", f"taken-{taken.sandbox.id}")
    assert taken.sandbox.address == str(taken.record.address) == taken.record.outputs["address"]
    assert (taken.ready, taken.record.expires_at) == (1, "2026-01-01T00:10:00.000Z")
    state = await desk.state()
    assert without_taken(state).resources.keys() == {Address("sandbox", "agent", "1")}
    found = taken_named(state, taken.sandbox.id)
    assert found == taken.record
    assert found.taken is not None
    assert (found.taken.place, found.taken.by, found.taken.purpose) == ("0", "ada@desk", "a page")
    assert desk.memory.header is None
    assert desk.memory.lock is None


async def test_it_lives_for_its_blocks_timeout_if_nothing_else_is_said(desk: Desk) -> None:
    taken = await desk.take()
    assert taken.record.attributes["timeout"] == 3600
    assert taken.record.expires_at == "2026-01-01T01:00:00.000Z"


async def test_those_that_run_are_taken_before_those_that_have_to_be_woken(desk: Desk) -> None:
    first, second = desk.operator.there
    desk.operator.there[first] = live(first, "paused")
    assert [(await desk.take()).sandbox.id for _ in range(SIZE)] == [second, first]


async def test_what_has_ended_or_is_not_set_up_is_not_given_out(desk: Desk) -> None:
    ended, _ = desk.operator.there
    del desk.operator.there[ended]
    state = await desk.state()
    unfinished = replace(state.resources[Address("sandbox", "agent", "1")], setup={})
    await commit(desk.memory.backend(), state.with_records([unfinished]))
    with pytest.raises(PoolEmptyError) as caught:
        await desk.take()
    (said,) = caught.value.diagnostics
    assert said.code == "pool-empty"
    assert said.detail == "It is a pool of 2. What there is of it: not set up to the end: 1; ended: 1."
    assert (await desk.state()).resources.keys() == state.resources.keys()


async def test_a_look_at_an_empty_pool_leaves_the_state_as_it_is(desk: Desk) -> None:
    await commit(desk.memory.backend(), replace(await desk.state(), resources={}))
    serial = (await desk.state()).serial
    with pytest.raises(PoolEmptyError):
        await desk.take()
    assert (await desk.state()).serial == serial
    assert desk.memory.header is None


async def test_a_project_that_was_never_applied_has_an_empty_pool(project: Project) -> None:
    desk = Desk(project)
    with pytest.raises(PoolEmptyError):
        await desk.take()
    assert desk.memory.state is None


async def test_a_failure_at_e2b_is_told_and_takes_nothing(desk: Desk) -> None:
    desk.operator.failure = ProviderError(error("too-long", "No"), Certainty.PERMANENT)
    with pytest.raises(DiagnosticsError, match="too-long"):
        await desk.take()
    state = await desk.state()
    assert without_taken(state) is state
    assert not state.pending
    assert (await desk.take()).ready == 1


async def test_what_may_have_been_marked_is_found_by_the_next_one_who_takes(desk: Desk) -> None:
    desk.operator.failure = ProviderError(error("lost", "No answer"), Certainty.UNKNOWN)
    with pytest.raises(DiagnosticsError, match="lost"):
        await desk.take()
    first, _ = desk.operator.there
    desk.operator.marked.add(first)
    assert (await desk.take()).sandbox.id == first
    assert not (await desk.state()).pending


async def test_a_mark_that_nobody_remembers_keeps_a_sandbox_from_being_given_out(desk: Desk) -> None:
    """An older state was put back: it has as a member what somebody works in."""
    before = await desk.state()
    theirs = (await desk.take()).sandbox.id
    desk.memory.state = replace(before, serial=(await desk.state()).serial + 1)
    assert (await desk.take()).sandbox.id != theirs
    found = taken_named(await desk.state(), theirs)
    assert found.taken is not None
    assert (found.taken.by, found.taken.place) == ("", "0")


async def test_pools_are_listed_with_what_stands_in_them_and_who_has_the_rest(desk: Desk) -> None:
    taken = await desk.take(purpose="a page")
    state = await desk.state()
    (pool,) = await standings(desk.project, state, desk.operator)  # type: ignore[arg-type]
    assert (pool.address, pool.pool.size, pool.ready) == (AGENT, SIZE, 1)
    assert [member.readiness for member in pool.members] == [Readiness.READY]
    assert [(item.id, item.taken.purpose) for item in pool.taken] == [(taken.sandbox.id, "a page")]
    desk.operator.there.clear()
    (pool,) = await standings(desk.project, state, desk.operator)  # type: ignore[arg-type]
    assert ([member.readiness for member in pool.members], pool.taken) == ([Readiness.ENDED], [])


async def test_only_what_was_taken_can_be_ended_as_that(desk: Desk) -> None:
    with pytest.raises(DiagnosticsError, match="was not taken from a pool"):
        taken_named(await desk.state(), "agent[0]")
    with pytest.raises(DiagnosticsError, match="No sandbox «elsewhere» is taken"):
        taken_named(await desk.state(), "elsewhere")


MOVES = st.lists(
    st.tuples(st.sampled_from(["take", "take", "fill", "end"]), st.none() | st.integers(0, 8)), max_size=14
)


@given(moves=MOVES)
async def test_whatever_is_killed_no_sandbox_is_given_out_twice_and_none_is_forgotten(
    project: Project, moves: list[tuple[str, int | None]]
) -> None:
    desk = Desk(project)
    await desk.fill()
    given_out: list[str] = []
    for move, death in moves:
        match move:
            case "fill":
                await desk.fill()
            case "end" if given_out:
                desk.operator.there.pop(given_out[0], None)
            case "take":
                given_out.extend(await _taken(desk, death))
    assert len(given_out) == len(set(given_out))
    known = {record.id: record for record in (await desk.state()).resources.values()}
    assert desk.operator.there.keys() <= known.keys()
    assert all(known[item].taken is not None for item in given_out if item in desk.operator.there)


async def _taken(desk: Desk, death: int | None) -> list[str]:
    desk.fate.steps = death
    try:
        return [(await desk.take()).sandbox.id]
    except (PoolEmptyError, KilledError):
        return []
    finally:
        desk.fate.steps = None
