"""Records of runs as workflows make them: from events, and without ever standing in the way of a run."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.events import (
    ApplyFinished,
    Event,
    LogLine,
    OperationFinished,
    OperationStarted,
    Outcome,
)
from nexus.model.runs import RunEntry, RunHead, RunStatus
from nexus.model.state import ResourceRecord
from nexus.stores import Memory
from nexus.workflows import runs
from tests.fakes.clock import ManualClock
from tests.fakes.runs import run_head

STEP = Address("step", "etl.load", "a")
RUN = Operation(id="op-1", verb=Verb.RUN_STEP, address=STEP, cause="code changed")
AFTER = Operation(id="op-2", verb=Verb.RUN_STEP, address=Address("step", "etl.after"), needs=("op-1",))
RECORD = ResourceRecord(
    address=STEP,
    id="key",
    uid="u",
    attributes={"sandbox": {"address": "sandbox.a", "id": "i1"}},
    outputs={
        "exit_code": 3,
        "attempts": 2,
        "cpu_seconds": 0.5,
        "peak_memory": 100,
        "outputs": {"rows": {"path": "/rows", "size": 3, "sha256": "ab", "sandbox": "i1"}},
    },
)
WHY = error("execution-error", "It failed", detail="x" * 10_000 + "the end")
EVENTS: tuple[Event, ...] = (
    OperationStarted(operation=RUN),
    *(LogLine(operation=RUN, stream="stdout", text=f"line {number} \udcff") for number in range(30)),
    OperationFinished(operation=RUN, outcome=Outcome.FAILED, seconds=2.0, diagnostic=WHY, record=RECORD),
    OperationFinished(operation=AFTER, outcome=Outcome.SKIPPED, reason="run-step failed"),
    ApplyFinished(seconds=2.5, outcomes={Outcome.FAILED: 1, Outcome.SKIPPED: 1}),
)


def head(suffix: str = "a1") -> RunHead:
    return run_head(id=f"20260102T030405-{suffix}")


async def recorded(memory: Memory, suffix: str = "a1") -> runs.Recorder:
    heard: list[Event] = []
    recorder = await runs.begin(memory.backend(), head(suffix), heard.append, ManualClock())
    for event in EVENTS:
        recorder(event)
    recorder.close()
    assert heard == list(EVENTS), "every event is handed on"
    return recorder


async def test_what_happened_is_told_by_the_record_alone() -> None:
    memory = Memory()
    recorder = await recorded(memory)
    run = await runs.find_run(memory.backend(), None)
    status = await runs.status_of(memory.backend(), run)
    assert run == recorder.run()
    assert status is RunStatus.FAILED
    ran, skipped = run.steps
    assert (ran.outcome, ran.seconds, ran.code, ran.cause) == (Outcome.FAILED, 2.0, "execution-error", "code changed")
    assert ran.started_at
    assert ran.ended_at
    assert ran.detail.endswith("the end")
    assert len(ran.detail) < 5000
    assert ran.step is not None
    assert (ran.step.sandbox, ran.step.attempts, ran.step.exit_code) == ("sandbox.a", 2, 3)
    assert ran.step.artefacts["rows"].size == 3
    assert (ran.log_lines, len(ran.tail)) == (30, 20)
    assert (skipped.outcome, skipped.reason, skipped.started_at) == (Outcome.SKIPPED, "run-step failed", "")
    assert (await memory.backend().runs.log(run.head.id, "op-1")).count("\n") == 30


class Refusing:
    """A store of runs that takes ``entries`` entries, and nothing after them."""

    def __init__(self, entries: int) -> None:
        self.entries = entries

    async def begin(self, head: RunHead) -> Refusing:
        if not self.entries:
            raise self.full()
        return self

    def note(self, entry: RunEntry) -> None:
        self.entries -= 1
        if self.entries <= 0:
            raise self.full()

    def write(self, operation_id: str, text: str) -> None: ...

    def close(self) -> None: ...

    @staticmethod
    def full() -> DiagnosticsError:
        return DiagnosticsError(error("disk-full", "The disk is full", detail="Could not record the run."))


@pytest.mark.parametrize("entries", [0, 2])
async def test_a_store_that_refuses_keeps_no_run_from_going_on(entries: int) -> None:
    backend = replace(Memory().backend(), runs=Refusing(entries))
    recorder = await runs.begin(backend, head(), lambda event: None, ManualClock())
    for event in EVENTS:
        recorder(event)
    recorder.close()
    assert recorder.problem is not None
    assert recorder.problem.code == "run-not-recorded"
    assert "disk is full" in recorder.problem.detail
    assert len(recorder.run().steps) == 2, "this process knows it all the same"


async def test_a_run_is_named_by_the_beginning_of_its_id() -> None:
    memory = Memory()
    with pytest.raises(DiagnosticsError, match="No run was recorded yet"):
        await runs.find_run(memory.backend(), None)
    for suffix in ("a1", "a2", "b1"):
        await recorded(memory, suffix)
    assert (await runs.find_run(memory.backend(), "20260102T030405-b")).head == head("b1")
    for text, code in (("20260102", "ambiguous-run"), ("1999", "unknown-run")):
        with pytest.raises(DiagnosticsError) as caught:
            await runs.find_run(memory.backend(), text)
        assert caught.value.diagnostics[0].code == code


@pytest.mark.parametrize("text", ["op-1", 'step.etl.load["a"]', "step.etl.load[a]", "step.etl.load", "load", "load[a]"])
async def test_a_step_of_a_run_is_named_in_every_usual_way(text: str) -> None:
    run = (await recorded(Memory())).run()
    assert [item.id for item in runs.operations_named(run, text)] == ["op-1"]
    with pytest.raises(DiagnosticsError, match="did nothing on"):
        runs.operations_named(run, "other")
