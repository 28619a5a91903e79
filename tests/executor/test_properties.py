"""What must hold whatever fails, wherever a run ends, and in whichever order things happen."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus.executor import Limits
from nexus.model.events import OperationFinished, OperationStarted, Outcome
from nexus.model.state import State
from nexus.providers import Call, Certainty
from nexus.stores import Entry, Header, Journal, JournalContents
from tests.fakes.bench import FRESH, Bench
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import FakeProvider, Fault, Faults, Thing, failing
from tests.fakes.desired import NoFiles, Wanted, World, sandbox
from tests.fakes.files import Crash

T = TypeVar("T")

FAULTS = [
    None,
    failing(Certainty.PERMANENT),
    failing(Certainty.NOT_DONE),
    failing(Certainty.NOT_DONE, retry_after=20.0),
    failing(Certainty.UNKNOWN),
    failing(Certainty.UNKNOWN, after_effect=True),
    Fault(RuntimeError("a bug"), after_effect=False),
    Fault(RuntimeError("a bug"), after_effect=True),
]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    wanted: list[Wanted] = []
    for index in range(draw(st.integers(1, 6))):
        upstream = draw(st.lists(st.sampled_from(wanted), max_size=3, unique=True)) if wanted else []
        commands = draw(st.lists(st.sampled_from(["a", "b"]), max_size=2))
        wanted.append(Wanted(sandbox(f"s{index}"), tuple(item.address for item in upstream), tuple(commands)))
    return World(wanted)


@st.composite
def fault_scripts(draw: st.DrawFn) -> Faults:
    script = draw(st.lists(st.sampled_from(FAULTS), max_size=12))
    calls = iter(script)
    return lambda operation, attempt: next(calls, None)


def simulate(story: Coroutine[Any, Any, T], clock: ManualClock) -> T:
    """Run to the end, with time that jumps."""

    async def with_time() -> T:
        passing = asyncio.create_task(clock.run())
        try:
            return await story
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)

    return asyncio.run(with_time())


def check_converged(bench: Bench, world: World, state: State) -> None:
    """Exactly what is wanted is there, each once, set up in order, and the state says so."""
    assert state.verify() == ()
    assert state.pending == ()
    assert state.deposed == ()
    assert {address: record.id for address, record in state.resources.items()} == {
        thing.address: thing.id for thing in bench.cloud.things.values()
    }
    assert set(state.resources) == {item.address for item in world.wanted}
    assert len(bench.cloud.things) == len(world.wanted)
    assert world.plan(state).is_empty
    for item in world.wanted:
        record = state.resources[item.address]
        assert record.attributes["run_commands"] == list(item.commands)
        assert record.attributes["needs"] == [state.resources[needed].id for needed in item.depends_on]


@given(world=worlds(), faults=fault_scripts(), concurrency=st.integers(1, 4), honours=st.booleans())
@settings(max_examples=150, deadline=None)
def test_whatever_fails_the_state_is_sound_and_running_again_converges(
    world: World, faults: Faults, concurrency: int, honours: bool
) -> None:
    async def story() -> None:
        bench.cloud.honours_keys = honours
        first = await bench.apply(world, faults)
        assert first.state.verify() == ()
        assert set(first.outcomes) == {operation.id for operation in world.plan(FRESH).operations}
        check_order(bench)
        assert not bench.provider.overlapping_addresses  # type: ignore[union-attr]
        await bench.apply(world)
        check_converged(bench, world, await bench.state())
        await bench.apply(World([]))
        assert bench.cloud.things == {}
        assert (await bench.state()).is_empty

    clock = ManualClock()
    bench = Bench(clock, limits=Limits(concurrency=concurrency))
    simulate(story(), clock)


def check_order(bench: Bench) -> None:
    """No operation has started before everything that it needs has succeeded."""
    done: set[str] = set()
    for event in bench.sink.events:
        match event:
            case OperationStarted(operation=operation):
                assert set(operation.needs) <= done
            case OperationFinished(operation=operation, outcome=Outcome.SUCCEEDED | Outcome.UNCHANGED):
                done.add(operation.id)
            case _:
                pass


@given(world=worlds(), concurrency=st.integers(2, 8))
@settings(max_examples=60, deadline=None)
def test_one_at_a_time_and_many_at_once_come_to_the_same(world: World, concurrency: int) -> None:
    def outcome(limit: int) -> object:
        async def story() -> object:
            await bench.apply(world)
            state = await bench.state()
            check_converged(bench, world, state)
            addresses = {thing.id: thing.address for thing in bench.cloud.things.values()}
            return [
                (record.address, record.setup, [addresses[id] for id in record.attributes["needs"]])  # type: ignore[union-attr, index]
                for record in sorted(state.resources.values(), key=lambda record: record.address)
            ]

        clock = ManualClock()
        bench = Bench(clock, limits=Limits(concurrency=limit))
        return simulate(story(), clock)

    assert outcome(1) == outcome(concurrency)


@given(world=worlds(), cut=st.integers(0, 40), honours=st.booleans(), later=st.sampled_from([0.0, 100.0, 1000.0]))
@settings(max_examples=200, deadline=None)
def test_after_an_end_at_any_moment_the_next_run_makes_nothing_twice_and_loses_nothing(
    world: World, cut: int, honours: bool, later: float
) -> None:
    """The process ends ``cut`` steps of its event loop after it began; only the stores and the cloud are left."""

    async def story() -> None:
        bench.cloud.honours_keys = honours
        state = await bench.state()
        executor = bench.start()
        run = asyncio.create_task(executor.run(world.plan(state), state, world.resolve, NoFiles()))
        for _ in range(cut * 5):
            await asyncio.sleep(0)
        run.cancel()
        await asyncio.gather(run, return_exceptions=True)
        clock.advance(later)
        await bench.apply(world)
        check_converged(bench, world, await bench.state())

    clock = ManualClock()
    bench = Bench(clock)
    simulate(story(), clock)


class LosingJournal:
    """The machine stops when so many entries are on the disk."""

    def __init__(self, kept: Journal, room: int) -> None:
        self._kept = kept
        self._room = room

    async def read(self) -> JournalContents | None:
        return await self._kept.read()

    async def start(self, header: Header) -> None:
        await self._kept.start(header)

    async def append(self, entry: Entry) -> None:
        if self._room <= 0:
            raise Crash
        self._room -= 1
        await self._kept.append(entry)

    async def clear(self) -> None:
        await self._kept.clear()


@given(world=worlds(), prefix=st.integers(0, 30), honours=st.booleans())
@settings(max_examples=150, deadline=None)
def test_after_any_prefix_of_the_journal_the_next_run_converges(world: World, prefix: int, honours: bool) -> None:
    async def story() -> None:
        bench.cloud.honours_keys = honours
        state = await bench.state()
        executor = bench.start()
        executor._journal = LosingJournal(bench.memory.backend().journal, prefix)
        with suppress(Crash, BaseExceptionGroup):
            await executor.run(world.plan(state), state, world.resolve, NoFiles())
        assert len(bench.memory.entries) <= prefix
        await bench.apply(world)
        check_converged(bench, world, await bench.state())

    clock = ManualClock()
    bench = Bench(clock)
    simulate(story(), clock)


def test_a_repeated_create_whose_answer_has_ended_since_is_made_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server may answer a key that it knows with what it made then, whatever became of that."""
    answers: dict[str, Thing] = {}
    create = FakeProvider._create

    def replaying(provider: FakeProvider, call: Call) -> Thing:
        if call.key not in answers:
            answers[call.key] = create(provider, call)
        return answers[call.key]

    monkeypatch.setattr(FakeProvider, "_create", replaying)
    world = World([Wanted(sandbox("a"), commands=("x",))])

    async def story() -> None:
        state = await bench.state()
        executor = bench.start()
        executor._journal = LosingJournal(bench.memory.backend().journal, 1)
        with suppress(Crash, BaseExceptionGroup):
            await executor.run(world.plan(state), state, world.resolve, NoFiles())
        assert len(bench.cloud.things) == 1
        bench.cloud.things.clear()
        result = await bench.apply(world)
        assert result.succeeded, result.diagnostics
        check_converged(bench, world, await bench.state())
        assert len(answers) == 2

    clock = ManualClock()
    bench = Bench(clock)
    simulate(story(), clock)
