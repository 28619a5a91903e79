from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from nexus.executor import Lookup, Resolved
from nexus.executor.pacing import Limits
from nexus.kinds.base import Unit
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import DiagnosticsError, SourcePos, SourceRange, error
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
)
from nexus.providers import Certainty, ProviderError, TooFast
from nexus.stores import Begin, Entry, Header, Journal, JournalContents, LockInfo
from tests.fakes.bench import FRESH, Bench
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import Fault, Faults, failing
from tests.fakes.desired import NoFiles, Wanted, World, make_plan, sandbox
from tests.fakes.records import make_record

A, B, C = sandbox("a"), sandbox("b"), sandbox("c")
CHAIN = World([Wanted(A), Wanted(B, (A,)), Wanted(C)])


def only(id: str, fault: Fault | None, times: int = 10**6) -> Faults:
    """This fault for the first calls of one operation."""
    return lambda operation, attempt: fault if operation.id == id and attempt < times else None


async def test_everything_is_made_and_recorded(clock: ManualClock) -> None:
    bench = Bench(clock)
    result = await bench.apply(CHAIN)
    assert result.succeeded
    state = await bench.state()
    assert {address: record.id for address, record in state.resources.items()} == {
        thing.address: thing.id for thing in bench.cloud.things.values()
    }
    assert state.resources[B].attributes["needs"] == [state.resources[A].id]
    assert state.resources[B].depends_on == (A,)
    assert state.pending == ()
    assert state.verify() == ()
    assert bench.memory.header is None


async def test_what_depends_on_nothing_runs_at_once(clock: ManualClock) -> None:
    bench = Bench(clock)
    result = await bench.apply(CHAIN)
    assert bench.sink.story[:2] == ["+1", "+3"]
    assert result.seconds == 2.0


async def test_concurrency_is_bounded(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=3))
    await bench.apply(World([Wanted(sandbox(f"s{n}")) for n in range(10)]))
    assert bench.provider is not None
    assert bench.provider.most_at_once == 3


async def test_failed_create_skips_its_dependants_and_lets_the_rest_finish(clock: ManualClock) -> None:
    bench = Bench(clock)
    result = await bench.apply(CHAIN, only("1", failing(Certainty.PERMANENT)))
    assert result.outcomes == {"1": Outcome.FAILED, "2": Outcome.SKIPPED, "3": Outcome.SUCCEEDED}
    skipped = next(event for event in bench.sink.of(OperationFinished) if event.operation.id == "2")
    assert skipped.reason == "sandbox.a failed"
    assert [item.code for item in result.diagnostics] == ["call-failed"]
    assert result.diagnostics[0].address == "sandbox.a"
    finished = bench.sink.of(ApplyFinished)[0]
    assert finished.changes == {A: Outcome.FAILED, B: Outcome.SKIPPED, C: Outcome.SUCCEEDED}
    assert set((await bench.state()).resources) == {C}


@pytest.mark.parametrize(("unit", "told_at"), [(0, "run_commands"), (1, "run_commands[1]")])
async def test_a_failed_unit_is_told_at_the_field_that_asks_for_it(clock: ManualClock, unit: int, told_at: str) -> None:
    world = World([Wanted(A, commands=("echo", "make"))])
    places = {
        name: SourceRange("nexus.yaml", SourcePos(line, 1), SourcePos(line, 9))
        for line, name in enumerate(("run_commands", "run_commands[1]"), 1)
    }

    def resolve(address: Address, lookup: Lookup) -> Resolved:
        return replace(world.resolve(address, lookup), places=places)

    plan = world.plan(FRESH)
    (failed,) = (item.id for item in plan.operations if item.unit == f"run_commands[{unit}]")
    result = await Bench(clock).run(plan, resolve, only(failed, failing(Certainty.PERMANENT)))
    assert [item.range for item in result.diagnostics] == [places[told_at]]


async def test_running_again_continues_where_it_failed(clock: ManualClock) -> None:
    bench = Bench(clock)
    await bench.apply(CHAIN, only("1", failing(Certainty.PERMANENT)))
    assert (await bench.apply(CHAIN)).succeeded
    assert len(bench.cloud.things) == 3


async def test_a_call_that_was_not_done_is_tried_again_with_the_same_key(clock: ManualClock) -> None:
    bench = Bench(clock)
    result = await bench.apply(World([Wanted(A)]), only("1", failing(Certainty.NOT_DONE), times=2))
    assert result.succeeded
    assert bench.provider is not None
    assert len(bench.provider.calls) == 3
    assert len(set(bench.provider.calls)) == 1


async def test_tries_come_to_an_end(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(attempts=4))
    result = await bench.apply(World([Wanted(A)]), only("1", failing(Certainty.NOT_DONE)))
    assert result.outcomes == {"1": Outcome.FAILED}
    assert bench.provider is not None
    assert len(bench.provider.calls) == 4
    assert (await bench.state()).is_empty


async def test_a_server_that_asks_to_wait_is_waited_for_and_so_do_other_creates(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=1, attempts=2))
    fault = failing(Certainty.NOT_DONE, retry_after=30.0)
    result = await bench.apply(World([Wanted(A)]), only("1", fault, times=5))
    assert result.succeeded
    assert 150 < result.seconds < 160


async def test_patience_with_the_server_ends(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(patience=60.0))
    result = await bench.apply(World([Wanted(A)]), only("1", failing(Certainty.NOT_DONE, retry_after=25.0)))
    assert result.outcomes == {"1": Outcome.FAILED}
    assert result.seconds < 60


@pytest.mark.parametrize("honours_keys", [True, False])
async def test_a_create_whose_answer_was_lost_is_not_made_twice(clock: ManualClock, honours_keys: bool) -> None:
    bench = Bench(clock)
    bench.cloud.honours_keys = honours_keys
    result = await bench.apply(World([Wanted(A)]), only("1", failing(Certainty.UNKNOWN, after_effect=True), times=1))
    assert result.succeeded
    (thing,) = bench.cloud.things.values()
    assert (await bench.state()).resources[A].id == thing.id


async def test_a_double_that_appears_after_a_repeated_create_is_removed(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.cloud.honours_keys = False

    def lose_and_hide(operation: Operation, attempt: int) -> Fault | None:
        return failing(Certainty.UNKNOWN, after_effect=True) if attempt == 0 else None

    executor = bench.start(lose_and_hide)
    assert bench.provider is not None
    seen = bench.provider.find
    looks = 0

    async def starting_is_not_listed(state, intents):  # type: ignore[no-untyped-def]
        nonlocal looks
        looks += 1
        return {} if looks == 1 else await seen(state, intents)

    bench.provider.find = starting_is_not_listed  # type: ignore[method-assign]
    world = World([Wanted(A)])
    result = await executor.run(world.plan(FRESH), FRESH, world.resolve, NoFiles())
    assert result.succeeded
    (thing,) = bench.cloud.things.values()
    assert result.state.resources[A].id == thing.id
    assert [item.code for item in result.diagnostics] == ["double-removed"]


async def test_a_create_of_unknown_outcome_stays_pending_and_is_made_again_with_its_key(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(attempts=2))
    world = World([Wanted(A)])
    result = await bench.run(world.plan(FRESH), world.resolve, only("1", failing(Certainty.UNKNOWN)))
    assert result.outcomes == {"1": Outcome.FAILED}
    state = await bench.state()
    assert [intent.address for intent in state.pending] == [A]
    assert bench.provider is not None
    first = set(bench.provider.calls)
    assert (await bench.run(world.plan(state), world.resolve)).succeeded
    assert set(bench.provider.calls) == first
    assert (await bench.state()).pending == ()


async def test_a_command_of_unknown_outcome_is_not_repeated(clock: ManualClock) -> None:
    bench = Bench(clock)
    world = World([Wanted(A, commands=("make install",))])
    result = await bench.apply(world, only("2", failing(Certainty.UNKNOWN, after_effect=True)))
    assert result.outcomes == {"1": Outcome.SUCCEEDED, "2": Outcome.FAILED}
    (thing,) = bench.cloud.things.values()
    assert len(thing.done) == 1
    assert "run_commands" not in (await bench.state()).resources[A].attributes


async def test_an_object_that_is_gone_is_forgotten_and_made_again(clock: ManualClock) -> None:
    bench = Bench(clock)
    await bench.apply(World([Wanted(A)]))
    bench.cloud.things.clear()
    world = World([Wanted(A, commands=("true",))])
    result = await bench.apply(world)
    assert [item.code for item in result.diagnostics] == ["sandbox-gone"]
    assert (await bench.state()).is_empty
    assert (await bench.apply(world)).succeeded


async def test_creates_wait_for_the_room_that_deletions_of_the_plan_make(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=10))
    bench.cloud.limit = 3
    await bench.apply(World([Wanted(sandbox(f"old{n}")) for n in range(3)]))
    result = await bench.apply(World([Wanted(sandbox(f"new{n}")) for n in range(3)]))
    assert result.succeeded, result.diagnostics
    assert {str(thing.address) for thing in bench.cloud.things.values()} == {f"sandbox.new{n}" for n in range(3)}
    assert (await bench.state()).pending == ()
    assert bench.sink.of(OperationProgress)


async def test_what_gets_no_room_has_failed_as_it_was_refused(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=10))
    bench.cloud.limit = 3
    await bench.apply(World([Wanted(sandbox(f"old{n}")) for n in range(3)]))
    one, two = sandbox("new0"), sandbox("user")
    result = await bench.apply(World([*(Wanted(sandbox(f"new{n}")) for n in range(5)), Wanted(two, (one,))]))
    outcomes = list(result.outcomes.values())
    assert outcomes.count(Outcome.FAILED) >= 1
    assert len(bench.cloud.things) == 3
    assert {item.code for item in result.diagnostics} == {"limit-reached"}
    assert not any(str(address).startswith("sandbox.old") for address in (await bench.state()).resources)
    bench.cloud.limit = None
    world = World([*(Wanted(sandbox(f"new{n}")) for n in range(5)), Wanted(two, (one,))])
    assert (await bench.apply(world)).succeeded
    assert len(bench.cloud.things) == 6


async def test_a_full_account_stops_creates_and_says_so(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=1))
    bench.cloud.limit = 2
    result = await bench.apply(World([Wanted(sandbox(f"s{n}")) for n in range(5)]))
    assert list(result.outcomes.values()).count(Outcome.SUCCEEDED) == 2
    assert list(result.outcomes.values()).count(Outcome.FAILED) == 1
    reasons = {event.reason for event in bench.sink.of(OperationFinished) if event.outcome is Outcome.SKIPPED}
    assert reasons == {"the account's limit is reached"}
    assert bench.provider is not None
    assert len(bench.provider.calls) == 3


async def test_creates_are_paced_and_nothing_else_is(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(creates_per_second=0.5, concurrency=100))
    result = await bench.apply(World([Wanted(sandbox(f"s{n}"), commands=("x",)) for n in range(4)]))
    assert result.succeeded
    assert result.seconds == pytest.approx(8.0)


async def test_every_class_of_calls_has_its_own_rate(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(sandbox_requests_per_second=0.5, concurrency=100))
    result = await bench.apply(World([Wanted(sandbox(f"s{n}"), commands=("x",)) for n in range(4)]))
    assert result.succeeded
    creates = [item for item in bench.sink.of(OperationFinished) if item.operation.verb is Verb.CREATE]
    assert len(creates) == 4
    assert result.seconds == pytest.approx(8.0)


async def test_a_rate_that_is_exceeded_is_waited_for_longer_each_time_and_counts_as_no_failure(
    clock: ManualClock,
) -> None:
    bench = Bench(clock, limits=Limits(attempts=2))
    fault = Fault(TooFast(error("rate-limited", "E2B asks to slow down")))
    result = await bench.apply(World([Wanted(A)]), only("1", fault, times=6))
    assert result.succeeded
    assert 20 < result.seconds < 40


async def test_the_budget_of_repetitions_is_one_for_all_operations(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(attempts=5, retry_budget=7))

    def never(operation: Operation, attempt: int) -> Fault:
        return failing(Certainty.NOT_DONE)

    result = await bench.apply(World([Wanted(sandbox(f"s{n}")) for n in range(20)]), never)
    assert set(result.outcomes.values()) == {Outcome.FAILED}
    assert bench.provider is not None
    assert len(bench.provider.calls) == 20 + 7


async def test_how_long_it_will_take_is_told_and_what_it_took_is_learnt(clock: ManualClock) -> None:
    bench = Bench(clock)
    executor = bench.start(estimate=lambda operation: 4.0)
    world = World([Wanted(A), Wanted(B, (A,))])
    result = await executor.run(world.plan(FRESH), FRESH, world.resolve, NoFiles())
    (begun,) = bench.sink.of(ApplyStarted)
    assert begun.expected_seconds == 8.0
    assert [event.expected_seconds for event in bench.sink.of(OperationStarted)] == [4.0, 4.0]
    assert [event.remaining_seconds for event in bench.sink.of(OperationFinished)] == [4.0, 0.0]
    assert result.took == {"1": 1.0, "2": 1.0}


async def test_a_lost_lock_lets_nothing_new_begin(clock: ManualClock) -> None:
    bench = Bench(clock)
    lock = bench.memory.backend().lock
    await lock.acquire(LockInfo(holder="ann@host", pid=1, operation="apply", since=""))
    executor = bench.start()
    executor._lock = lock

    def breaking(operation: Operation, attempt: int) -> None:
        bench.memory.lock = None

    assert bench.provider is not None
    bench.provider._faults = breaking
    world = World([Wanted(A, commands=("x",)), Wanted(B, (A,))])
    result = await executor.run(world.plan(FRESH), FRESH, world.resolve, NoFiles())
    assert result.lock_lost
    assert not result.succeeded
    assert len(bench.provider.calls) == 1
    assert [item.code for item in result.diagnostics] == ["lock-lost"]
    assert result.state.resources[A].id in bench.cloud.things


async def test_a_bug_in_the_provider_is_a_failure_without_its_message(clock: ManualClock) -> None:
    bench = Bench(clock)
    bug = ValueError("the secret is hunter2")
    result = await bench.apply(CHAIN, only("1", Fault(bug)))
    assert result.outcomes["1"] is Outcome.FAILED
    assert result.outcomes["3"] is Outcome.SUCCEEDED
    assert result.diagnostics[0].code == "internal-error"
    assert "hunter2" not in str(bench.sink.events)
    assert result.bugs == (bug,)


async def test_a_listener_that_fails_stops_nothing(clock: ManualClock) -> None:
    bench = Bench(clock)
    executor = bench.start()

    def broken(_event: object) -> None:
        raise OSError("the terminal is gone")

    executor._sink = broken
    result = await executor.run(CHAIN.plan(FRESH), FRESH, CHAIN.resolve, NoFiles())
    assert set(result.outcomes.values()) == {Outcome.SUCCEEDED}
    assert len(result.bugs) == 1


async def test_what_can_not_be_resolved_fails_before_anything_is_done(clock: ManualClock) -> None:
    bench = Bench(clock)

    def altered(address: Address, lookup: Lookup) -> Resolved:
        raise DiagnosticsError(error("plan-altered", "A value is not what the plan showed"))

    result = await bench.run(World([Wanted(A)]).plan(FRESH), altered)
    assert result.outcomes == {"1": Outcome.FAILED}
    assert bench.cloud.things == {}
    assert (await bench.state()).is_empty


async def test_a_plan_for_another_state_is_refused(clock: ManualClock) -> None:
    bench = Bench(clock)
    stale = replace(CHAIN.plan(FRESH), base_serial=3)
    with pytest.raises(DiagnosticsError, match="plan-stale"):
        await bench.run(stale, CHAIN.resolve)


async def test_an_empty_plan_does_nothing_at_all(clock: ManualClock) -> None:
    bench = Bench(clock)
    result = await bench.run(make_plan(FRESH, []), CHAIN.resolve)
    assert result.succeeded
    assert result.state is FRESH
    assert bench.memory.header is None


async def test_first_interrupt_finishes_what_is_in_flight_and_starts_nothing(clock: ManualClock) -> None:
    bench = Bench(clock, limits=Limits(concurrency=2))
    executor = bench.start()

    def interrupt_at_the_first_call(operation: Operation, attempt: int) -> Fault | None:
        if operation.id == "1":
            executor.interrupt()
        return None

    assert bench.provider is not None
    bench.provider._faults = interrupt_at_the_first_call
    result = await executor.run(CHAIN.plan(FRESH), FRESH, CHAIN.resolve, NoFiles())
    assert result.interrupted
    assert result.outcomes["1"] is Outcome.SUCCEEDED
    assert result.outcomes["2"] is Outcome.SKIPPED
    assert result.state.pending == ()
    assert [event.count for event in bench.sink.of(InterruptReceived)] == [1]
    reasons = {event.reason for event in bench.sink.of(OperationFinished) if event.outcome is Outcome.SKIPPED}
    assert reasons == {"interrupted"}


async def test_an_interrupt_ends_waiting_for_the_next_attempt(clock: ManualClock) -> None:
    bench = Bench(clock)
    executor = bench.start(only("1", failing(Certainty.NOT_DONE, retry_after=500.0)))

    def interrupt_while_waiting(event: Event) -> None:
        if isinstance(event, OperationProgress):
            executor.interrupt()

    executor._sink = interrupt_while_waiting
    world = World([Wanted(A)])
    result = await executor.run(world.plan(FRESH), FRESH, world.resolve, NoFiles())
    assert result.seconds < 1
    assert result.outcomes == {"1": Outcome.FAILED}
    assert result.interrupted


async def test_second_interrupt_cancels_what_is_in_flight_and_its_intent_stays_open(clock: ManualClock) -> None:
    bench = Bench(clock)
    executor = bench.start()

    def interrupt_twice(operation: Operation, attempt: int) -> Fault | None:
        loop = asyncio.get_running_loop()
        loop.call_soon(executor.interrupt)
        loop.call_soon(executor.interrupt)
        return None

    assert bench.provider is not None
    bench.provider._faults = interrupt_twice
    world = World([Wanted(A), Wanted(B, (A,))])
    result = await executor.run(world.plan(FRESH), FRESH, world.resolve, NoFiles())
    assert result.outcomes == {"1": Outcome.CANCELLED, "2": Outcome.SKIPPED}
    assert [intent.address for intent in result.state.pending] == [A]
    skipped = bench.sink.of(OperationFinished)[-1]
    assert skipped.reason == "sandbox.a was cancelled"


class BreakingJournal:
    """Keeps so many entries and then no more."""

    def __init__(self, room: int) -> None:
        self.entries: list[Entry] = []
        self._room = room

    async def read(self) -> JournalContents | None:
        return None

    async def start(self, header: Header) -> None:
        pass

    async def append(self, entry: Entry) -> None:
        if len(self.entries) >= self._room:
            raise DiagnosticsError(error("disk-full", "The disk is full"))
        self.entries.append(entry)

    async def clear(self) -> None:
        pass

    async def fence(self) -> None:
        pass


@pytest.mark.parametrize("room", [0, 1, 2, 3])
async def test_without_a_journal_nothing_new_is_begun_and_what_was_done_is_still_known(
    clock: ManualClock, room: int
) -> None:
    bench = Bench(clock, limits=Limits(concurrency=1))
    executor = bench.start()
    journal: Journal = BreakingJournal(room)
    executor._journal = journal
    result = await executor.run(CHAIN.plan(FRESH), FRESH, CHAIN.resolve, NoFiles())
    assert "disk-full" in [item.code for item in result.diagnostics]
    failed = [event.diagnostic.code for event in bench.sink.of(OperationFinished) if event.diagnostic is not None]
    beside = [event.diagnostic.code for event in bench.sink.of(DiagnosticRaised)]
    assert (failed, beside) == ((["disk-full"], []) if room % 2 == 0 else ([], ["disk-full"]))
    made = {thing.id for thing in bench.cloud.things.values()}
    assert {record.id for record in result.state.resources.values()} == made
    assert len(made) == (room + 1) // 2
    assert Outcome.SKIPPED in result.outcomes.values()


async def test_the_intent_of_a_create_is_on_record_before_the_call(clock: ManualClock) -> None:
    bench = Bench(clock)
    entries_at_call: list[int] = []

    def look(operation: Operation, attempt: int) -> Fault | None:
        entries_at_call.append(len(bench.memory.entries))
        entry = bench.memory.entries[-1]
        assert isinstance(entry, Begin)
        assert entry.operation == operation.id
        assert entry.intent.draft is not None
        assert entry.intent.draft.attributes["template"] == "base"
        return None

    await bench.apply(World([Wanted(A)]), look)
    assert entries_at_call == [1]


# ---- verbs that need no call

STEP = Address("step", "etl.run")


def step_world(digest: str, **attributes: object):  # type: ignore[no-untyped-def]
    unit = Unit(name="run", verb=Verb.RUN_STEP, field="code", digest=digest)

    def resolve(address: Address, lookup: Lookup) -> Resolved:
        return Resolved(attributes={"code": "x", **attributes}, spec=None, units=(unit,))  # type: ignore[dict-item]

    return resolve


def run_step(**fields: object) -> Operation:
    return replace(Operation(id="1", verb=Verb.RUN_STEP, address=STEP, unit="run"), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("recorded", "attributes", "fields", "runs"),
    [
        ("same", {}, {}, False),
        ("other", {}, {}, True),
        ("same", {"on": "always"}, {}, True),
        ("same", {}, {"force": True}, True),
    ],
)
async def test_a_step_runs_only_when_what_it_is_made_of_changed(
    clock: ManualClock, recorded: str, attributes: dict[str, object], fields: dict[str, object], runs: bool
) -> None:
    bench = Bench(clock)
    bench.memory.state = replace(
        FRESH,
        serial=1,
        resources={STEP: make_record(STEP, "u", attributes={"code": "x"}, setup={"run": recorded})},
    )
    state = await bench.state()
    result = await bench.run(make_plan(state, [run_step(**fields)]), step_world("same", **attributes))
    assert result.outcomes == {"1": Outcome.SUCCEEDED if runs else Outcome.UNCHANGED}
    assert bench.provider is not None
    assert bool(bench.provider.calls) is runs
    assert (await bench.state()).resources[STEP].setup == {"run": "same"}


async def test_a_step_that_failed_is_remembered_as_a_run_without_result(clock: ManualClock) -> None:
    bench = Bench(clock)
    ran = make_record(STEP, "id1", attributes={"code": "x"}, outputs={"exit_code": 3})
    failure = ProviderError(error("execution-error", "The step failed"), Certainty.PERMANENT, record=ran)
    result = await bench.run(make_plan(FRESH, [run_step()]), step_world("d"), only("1", Fault(failure)))
    assert result.outcomes == {"1": Outcome.FAILED}
    record = (await bench.state()).resources[STEP]
    assert (record.outputs, record.setup) == ({"exit_code": 3}, {})
    result = await bench.run(make_plan(await bench.state(), [run_step()]), step_world("d"))
    assert result.outcomes == {"1": Outcome.SUCCEEDED}


async def test_forgetting_and_recording_change_nothing_out_there(clock: ManualClock) -> None:
    bench = Bench(clock)
    old = make_record(B, "ub")
    bench.memory.state = replace(FRESH, serial=1, resources={A: make_record(A, "ua", attributes={"ports": {}}), B: old})
    plan = make_plan(
        await bench.state(),
        [
            Operation(id="1", verb=Verb.RECORD, address=A),
            Operation(id="2", verb=Verb.FORGET, address=B, uid="ub"),
            Operation(id="3", verb=Verb.FORGET, address=C),
        ],
    )

    def resolve(address: Address, lookup: Lookup) -> Resolved:
        return Resolved(attributes={"ports": {"api": 80}}, spec=None, depends_on=(C,), protected=True)

    result = await bench.run(plan, resolve)
    assert result.outcomes == {"1": Outcome.SUCCEEDED, "2": Outcome.SUCCEEDED, "3": Outcome.UNCHANGED}
    state = await bench.state()
    assert state.resources[A].attributes == {"ports": {"api": 80}}
    assert (state.resources[A].depends_on, state.resources[A].protected) == ((C,), True)
    assert B not in state.resources
    assert bench.cloud.things == {}


async def test_catalogue_templates_are_made_for_others_to_use_but_not_recorded(clock: ManualClock) -> None:
    bench = Bench(clock)
    python = Address("catalogue", "python")
    world = World([Wanted(python), Wanted(A, (python,))])
    result = await bench.apply(world)
    assert result.succeeded
    state = await bench.state()
    assert set(state.resources) == {A}
    (built,) = bench.cloud.at(python)
    assert state.resources[A].attributes["needs"] == [built.id]


async def test_deleting_means_one_incarnation(clock: ManualClock) -> None:
    bench = Bench(clock)
    await bench.apply(World([Wanted(A)]))
    first = (await bench.state()).resources[A]
    plan = make_plan(
        await bench.state(),
        [
            Operation(id="1", verb=Verb.CREATE, address=A),
            Operation(id="2", verb=Verb.DELETE, address=A, uid=first.uid, needs=("1",)),
        ],
    )
    result = await bench.run(plan, World([Wanted(A)]).resolve)
    assert result.succeeded
    state = await bench.state()
    assert (list(bench.cloud.things), state.deposed) == ([state.resources[A].id], ())
    assert state.resources[A].uid != first.uid


async def test_diagnostics_are_raised_as_events_too(clock: ManualClock) -> None:
    bench = Bench(clock)

    def altered(address: Address, lookup: Lookup) -> Resolved:
        raise DiagnosticsError([error("one", "One"), error("two", "Two")])

    await bench.run(World([Wanted(A)]).plan(FRESH), altered)
    finished = bench.sink.of(OperationFinished)[0]
    assert finished.diagnostic is not None
    assert finished.diagnostic.code == "one"
    assert [event.diagnostic.code for event in bench.sink.of(DiagnosticRaised)] == ["two"]
