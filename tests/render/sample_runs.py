"""One run with steps that ended in every way."""

from __future__ import annotations

from dataclasses import replace

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.runs import OperationRun, Run, RunEnd, RunSummary, StandingStep, StepResult
from tests.fakes.runs import STEP_RESULT, run_head

HEAD = run_head(
    operations=5,
    steps=(Address("step", "etl.load"), Address("step", "etl.old")),
    standing=(
        StandingStep(address=Address("step", "etl.old"), reason="up to date", result=StepResult(exit_code=0)),
        StandingStep(address=Address("step", "other.manual"), reason="runs only when it is asked for"),
    ),
)


def step(name: str, outcome: Outcome | None, **more: object) -> OperationRun:
    address = Address("step", f"etl.{name}")
    return OperationRun(
        id=f"op-{name}", verb="run-step", address=address, outcome=outcome, started_at=HEAD.started_at, **more
    )


LEFT = replace(STEP_RESULT, attempts=3, exit_code=4)
OPERATIONS = (
    OperationRun(
        id="op-1",
        verb="create",
        address=Address("sandbox", "a"),
        outcome=Outcome.FAILED,
        code="no",
        summary="No room",
        started_at=HEAD.started_at,
    ),
    step("good", Outcome.SUCCEEDED, seconds=1.5, step=replace(LEFT, exit_code=0)),
    step(
        "bad",
        Outcome.FAILED,
        seconds=2.25,
        code="execution-error",
        summary='It "failed" <4>',
        detail="\x1b[31mwhy\x00 & so",
        step=LEFT,
        log_lines=1,
        tail=("\x1b[31mwhy\x00 & so",),
    ),
    step("after", Outcome.SKIPPED, reason="step.etl.bad failed"),
    step("cut", None),
)
END = RunEnd(ended_at="2026-01-02T03:04:10.000Z", seconds=5.0, outcomes={Outcome.FAILED: 2, Outcome.SKIPPED: 1})
RUN = Run(RunSummary(HEAD, END), OPERATIONS)
