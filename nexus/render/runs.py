"""Records of runs: as JSON documents, and for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.events import Outcome
from nexus.model.runs import Artefact, OperationRun, Run, RunStatus, RunSummary, StandingStep, StepResult
from nexus.render.documents import FORMAT_VERSION, Json, step_to_json
from nexus.render.progress import MARKS
from nexus.render.values import duration, local_time, plural, size

_STYLES: Final = {
    RunStatus.SUCCEEDED: "ok",
    RunStatus.FAILED: "error",
    RunStatus.INTERRUPTED: "warning",
    RunStatus.RUNNING: "address",
}
_SHOWN_TAIL: Final = 5


# ---- documents


def runs_to_json(listed: Sequence[tuple[RunSummary, RunStatus]]) -> Json:
    return {"format_version": FORMAT_VERSION, "runs": [_head_to_json(*item) for item in listed]}


def run_to_json(run: Run, status: RunStatus) -> Json:
    """One run: its steps, with those that had nothing to do, and every operation with its start and its end."""
    return {
        "format_version": FORMAT_VERSION,
        **_head_to_json(run.summary, status),
        "steps": [*map(_ran_to_json, run.steps), *map(_standing_to_json, run.head.standing)],
        "timeline": [_operation_to_json(item) for item in run.operations],
    }


def _head_to_json(summary: RunSummary, status: RunStatus) -> Json:
    head, end = summary.head, summary.end
    return {
        "id": head.id,
        "command": head.words,
        "project": head.project,
        "environment": head.environment,
        "target": head.target,
        "holder": head.holder,
        "status": status.value,
        "started_at": head.started_at,
        "ended_at": None if end is None else end.ended_at,
        "seconds": None if end is None else end.seconds,
        "operations": head.operations,
        "outcomes": {} if end is None else {outcome.value: count for outcome, count in end.outcomes.items()},
    }


def _operation_to_json(item: OperationRun) -> Json:
    return {
        "id": item.id,
        "verb": item.verb,
        "address": str(item.address),
        "unit": item.unit,
        "cause": item.cause,
        "needs": list(item.needs),
        "started_at": item.started_at or None,
        "ended_at": item.ended_at or None,
        "seconds": item.seconds,
        "outcome": None if item.outcome is None else item.outcome.value,
        "reason": item.reason,
        "note": item.note,
        "error": _error(item),
    }


def _ran_to_json(item: OperationRun) -> Json:
    return {
        "address": str(item.address),
        "operation": item.id,
        "outcome": None if item.outcome is None else item.outcome.value,
        "cause": item.cause,
        "reason": item.reason,
        "started_at": item.started_at or None,
        "ended_at": item.ended_at or None,
        "seconds": item.seconds,
        **step_to_json(item.step or StepResult()),
        "cached": item.outcome is Outcome.UNCHANGED or (item.step is not None and item.step.cached),
        "error": _error(item),
        "log_lines": item.log_lines,
        "tail": list(item.tail),
    }


def _standing_to_json(item: StandingStep) -> Json:
    return {
        "address": str(item.address),
        "operation": None,
        "outcome": None if item.result is None else Outcome.UNCHANGED.value,
        "cause": "",
        "reason": item.reason,
        "started_at": None,
        "ended_at": None,
        "seconds": 0.0,
        **step_to_json(item.result or StepResult()),
        "cached": item.result is not None,
        "error": None,
        "log_lines": 0,
        "tail": [],
    }


def _error(item: OperationRun) -> Json | None:
    return {"code": item.code, "summary": item.summary, "detail": item.detail} if item.code else None


# ---- for people


def print_runs(console: Console, listed: Sequence[tuple[RunSummary, RunStatus]]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    # Ids are for copying, so they are whole at any width.
    table.add_column("id", no_wrap=True, min_width=max((len(summary.head.id) for summary, _ in listed), default=0))
    for name in ("started", "by", "what", "result", "took"):
        table.add_column(name, justify="right" if name == "took" else "left")
    for summary, status in listed:
        head, end = summary.head, summary.end
        table.add_row(
            Text(head.id, style="address"),
            local_time(head.started_at),
            head.holder,
            head.words,
            Text(status.value, style=_STYLES[status]),
            "" if end is None else duration(end.seconds),
        )
    console.print(table)


def print_run(console: Console, run: Run, status: RunStatus) -> None:
    """The head, each step with what it used and left, then the other operations."""
    head, end = run.head, run.summary.end
    took = "" if end is None else f" after {duration(end.seconds)}"
    console.print(Text.assemble((head.id, "address"), f": {head.words}, ", (status.value, _STYLES[status]), took))
    console.print(
        f"  {local_time(head.started_at)} by {head.holder}, project {head.project}, environment {head.environment}, "
        f"{head.target}"
    )
    if run.steps or head.standing:
        console.print("\nSteps", style="bold")
    for item in run.steps:
        console.print(_operation_text(item))
        for line in _step_lines(item):
            console.print(line)
    for standing in head.standing:
        console.print(_standing_text(standing))
    others = [item for item in run.operations if not item.is_step]
    if others:
        console.print("\nOther operations", style="bold")
    for item in others:
        console.print(_operation_text(item))
        if item.code:
            console.print(Text(f"      {item.summary}", style="error"))


def _operation_text(item: OperationRun) -> Text:
    mark, style = ("…", "warning") if item.outcome is None else MARKS[item.outcome]
    what = "" if item.is_step else f": {item.verb} {item.unit}".rstrip()
    text = Text.assemble((f"  {mark} ", style), (str(item.address), "address"), what)
    ended = "did not end" if item.outcome is None else item.outcome.value
    if item.is_step or item.outcome is not Outcome.SUCCEEDED:
        text.append(f"  {ended}")
    if item.reason:
        text.append(f", {item.reason}")
    if item.note:
        text.append(f", {item.note}")
    if item.started_at and item.outcome is not None:
        text.append(f"  {duration(item.seconds)}", style="faint")
    return text


def _step_lines(item: OperationRun) -> Iterator[Text]:
    if item.step is not None:
        yield Text("      " + ", ".join(_facts(item.step)), style="faint")
        yield from map(_artefact_text, item.step.artefacts.items())
    if item.code:
        yield Text(f"      {item.summary}", style="error")
    if item.outcome is not Outcome.SUCCEEDED or item.step is None:
        for line in item.tail[-_SHOWN_TAIL:]:
            yield Text.assemble(("      │ ", "faint"), line)


def _facts(result: StepResult) -> Iterator[str]:
    yield f"in {result.sandbox}" if result.sandbox else "in a sandbox of its own"
    if result.exit_code is not None:
        yield f"exit code {result.exit_code}"
    if result.attempts > 1:
        yield plural(result.attempts, "attempt")
    if result.cpu_seconds is not None:
        yield f"{result.cpu_seconds:.2f}s of CPU"
    if result.peak_memory is not None:
        yield f"{size(result.peak_memory)} at most"
    if result.cached:
        yield "taken from the cache"


def _artefact_text(item: tuple[str, Artefact]) -> Text:
    name, artefact = item
    return Text(f"      {name}: {artefact.path}, {size(artefact.size)}, sha256 {artefact.sha256}", style="faint")


def _standing_text(item: StandingStep) -> Text:
    mark, style = MARKS[Outcome.UNCHANGED]
    return Text.assemble((f"  {mark} ", style), (str(item.address), "address"), f"  {item.reason}")
