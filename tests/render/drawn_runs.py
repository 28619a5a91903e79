"""Runs to draw."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.runs import OperationRun, Run, RunEnd, RunSummary
from tests.fakes.runs import run_head
from tests.render.drawn import HOSTILE


def operation(
    name: str, start: float | None, end: float | None, *needs: str, verb: str = "create", outcome: str = "succeeded"
) -> OperationRun:
    def at(second: float | None) -> str:
        return "" if second is None else f"2026-01-02T03:04:{second:06.3f}Z"

    return OperationRun(
        id=name,
        verb=verb,
        address=Address("sandbox", name, HOSTILE),
        needs=needs,
        started_at=at(start),
        ended_at=at(end),
        seconds=0.0 if start is None or end is None else end - start,
        outcome=Outcome(outcome) if outcome else None,
        tail=(HOSTILE,),
    )


def run(*operations: OperationRun) -> Run:
    head = run_head(command="apply", started_at="2026-01-02T03:04:00.000Z", operations=len(operations))
    return Run(RunSummary(head, RunEnd(ended_at="2026-01-02T03:04:20.000Z", seconds=20.0)), operations)


RUN = run(
    operation("a", 1, 4),
    operation("b", 1, 9, verb="install"),
    operation("c", 4, 6, "a"),
    operation("d", 9, 12, "b", "c", verb="run-step", outcome="failed"),
    operation("e", None, None, "d", outcome="skipped"),
)
