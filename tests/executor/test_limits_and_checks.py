"""Operations that take too long, and conditions that can only be told while things are done."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.executor import Lookup
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, error
from nexus.model.events import OperationFinished, Outcome
from nexus.model.resources import Stage
from nexus.stores import commit
from tests.fakes.bench import Bench
from tests.fakes.clock import ManualClock
from tests.fakes.desired import NoFiles, Wanted, World, sandbox

A, B = sandbox("a"), sandbox("b")
CHAIN = World([Wanted(A, commands=("one",)), Wanted(B, (A,))])


def limited(plan: Plan, verb: Verb, seconds: int) -> Plan:
    """The plan with a limit for operations of one verb on the first sandbox; each call takes a second."""
    return replace(
        plan,
        operations=tuple(
            replace(item, limit=seconds) if item.verb is verb and item.address == A else item
            for item in plan.operations
        ),
    )


async def test_an_operation_within_its_limit_is_not_disturbed(clock: ManualClock) -> None:
    bench = Bench(clock)
    plan = limited(CHAIN.plan(await bench.state()), Verb.RUN_COMMAND, 2)
    assert (await bench.run(plan, CHAIN.resolve)).succeeded


async def test_one_that_takes_longer_fails_alone_and_is_done_by_the_next_run(clock: ManualClock) -> None:
    bench = Bench(clock)
    bench.start()
    result = await _slow(bench, limited(CHAIN.plan(await bench.state()), Verb.RUN_COMMAND, 3), seconds=60.0)
    assert [item.code for item in result] == ["operation-timeout"]
    assert "timeouts.setup" in result[0].summary
    assert clock.monotonic() < 70
    state = await bench.state()
    assert (set(state.resources), state.pending) == ({A}, ())
    assert (await bench.run(CHAIN.plan(state), CHAIN.resolve)).succeeded
    assert len(bench.cloud.at(A)) == 1


async def test_a_create_that_takes_too_long_stays_open_and_is_found_again(clock: ManualClock) -> None:
    bench = Bench(clock)
    (diagnostic,) = await _slow(bench, limited(CHAIN.plan(await bench.state()), Verb.CREATE, 40), seconds=60.0)
    assert diagnostic.code == "operation-timeout"
    (intent,) = (await bench.state()).pending
    assert (intent.verb, intent.address) == ("create", A)
    assert (await bench.apply(CHAIN)).succeeded
    assert [len(bench.cloud.at(address)) for address in (A, B)] == [1, 1]


async def _slow(bench: Bench, plan: Plan, seconds: float) -> list[Diagnostic]:
    """What failed, where every call takes so long."""
    executor = bench.start()
    assert bench.provider is not None
    bench.provider._seconds = seconds
    result = await executor.run(plan, await bench.state(), CHAIN.resolve, NoFiles())
    await commit(bench.memory.backend(), result.state)
    return list(result.diagnostics)


@pytest.mark.parametrize("holds", [True, False])
async def test_a_condition_stops_what_waits_for_it(clock: ManualClock, holds: bool) -> None:
    bench = Bench(clock)
    base = CHAIN.plan(await bench.state())
    check = Operation(id="check", verb=Verb.CHECK, address=A, unit=Stage.POSTCONDITION, needs=("2",))
    operations = [*base.operations[:2], check, replace(base.operations[2], needs=("check",)), *base.operations[3:]]
    asked: list[tuple[Address, Stage, bool]] = []

    def judge(address: Address, stage: Stage, lookup: Lookup) -> tuple[Diagnostic, ...]:
        asked.append((address, stage, lookup(address) is not None))
        return () if holds else (error("postcondition-failed", "no", address=str(address)),)

    executor = bench.start()
    plan = replace(base, operations=tuple(operations))
    result = await executor.run(plan, await bench.state(), CHAIN.resolve, NoFiles(), judge)
    assert asked == [(A, Stage.POSTCONDITION, True)]
    assert result.succeeded is holds
    assert set(result.state.resources) == ({A, B} if holds else {A})
    finished = {event.operation.id: event for event in bench.sink.events if isinstance(event, OperationFinished)}
    assert finished["check"].outcome is (Outcome.SUCCEEDED if holds else Outcome.FAILED)
