"""Records of runs: taken down while an apply goes on, and looked up afterwards."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from nexus.executor import Clock
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity, error
from nexus.model.events import (
    ApplyFinished,
    Event,
    LogLine,
    OperationFinished,
    OperationStarted,
    Sink,
)
from nexus.model.runs import (
    OperationRun,
    Run,
    RunEnd,
    RunEntry,
    RunHead,
    RunStatus,
    RunSummary,
    StandingStep,
    run_of,
    step_result,
)
from nexus.model.state import State
from nexus.stores import Backend, LockInfo, RunLog
from nexus.workflows.loading import Project

_STEP: Final = "step"
_TAIL_LINES: Final = 20
_LONGEST: Final = 500
"""Characters of one line that the record keeps of a tail; the log has it whole."""
_LONGEST_DETAIL: Final = 4000


@dataclass(slots=True, kw_only=True)
class Recorder:
    """A sink that takes a run down, and hands every event on. What it can't keep, it keeps for this process alone.

    ``problem`` says why nothing (more) could be written: a run does not end for that.
    """

    head: RunHead
    log: RunLog | None
    sink: Sink
    clock: Clock
    problem: Diagnostic | None = None
    _open: dict[str, OperationRun] = field(default_factory=dict)
    _lines: dict[str, int] = field(default_factory=dict)
    _tails: dict[str, deque[str]] = field(default_factory=dict)
    _entries: list[RunEntry] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        match event:
            case OperationStarted(operation=operation):
                begun = replace(_drafted(operation), started_at=moment(self.clock.now()))
                self._open[operation.id] = begun
                self._note(begun)
            case LogLine(operation=operation, text=text):
                self._line(operation.id, text)
            case OperationFinished():
                self._ended(event)
            case ApplyFinished():
                self._note(
                    RunEnd(
                        ended_at=moment(self.clock.now()),
                        seconds=round(event.seconds, 3),
                        interrupted=event.interrupted,
                        outcomes=event.outcomes,
                    )
                )
            case _:
                pass
        self.sink(event)

    def run(self) -> Run:
        """What was taken down so far."""
        return run_of(self.head, tuple(self._entries))

    def close(self) -> None:
        if self.log is not None:
            self.log.close()

    def _line(self, operation_id: str, text: str) -> None:
        self._lines[operation_id] = self._lines.get(operation_id, 0) + 1
        self._tails.setdefault(operation_id, deque(maxlen=_TAIL_LINES)).append(text)
        self._keep(lambda log: log.write(operation_id, text))

    def _ended(self, event: OperationFinished) -> None:
        operation, record, why = event.operation, event.record, event.diagnostic
        begun = self._open.pop(operation.id, None) or _drafted(operation)
        is_step = operation.verb is Verb.RUN_STEP and record is not None
        self._note(
            replace(
                begun,
                ended_at=moment(self.clock.now()) if begun.started_at else "",
                seconds=round(event.seconds, 3),
                outcome=event.outcome,
                reason=event.reason,
                note=event.note,
                code="" if why is None else why.code,
                summary="" if why is None else why.summary,
                detail="" if why is None else _end_of(why.detail),
                step=step_result(record.attributes, record.outputs, record.created_at)
                if is_step and record is not None
                else None,
                log_lines=self._lines.pop(operation.id, 0),
                tail=tuple(line[:_LONGEST] for line in self._tails.pop(operation.id, ())),
            )
        )

    def _note(self, entry: RunEntry) -> None:
        self._entries.append(entry)
        self._keep(lambda log: log.note(entry))

    def _keep(self, write: Callable[[RunLog], None]) -> None:
        if self.log is None or self.problem is not None:
            return
        try:
            write(self.log)
        except DiagnosticsError as problem:
            self.problem = not_recorded(problem)


def _end_of(detail: str) -> str:
    """What a failing command said last, as messages quote it, is what matters."""
    return detail if len(detail) <= _LONGEST_DETAIL else f"[...]{detail[-_LONGEST_DETAIL:]}"


def _drafted(operation: Operation) -> OperationRun:
    return OperationRun(
        id=operation.id,
        verb=operation.verb.value,
        address=operation.address,
        unit=operation.unit,
        cause=operation.cause,
        needs=operation.needs,
    )


async def begin(backend: Backend, head: RunHead, sink: Sink, clock: Clock) -> Recorder:
    """A recorder of the run; one that only keeps it in this process, where the store refuses."""
    try:
        return Recorder(head=head, log=await backend.runs.begin(head), sink=sink, clock=clock)
    except DiagnosticsError as problem:
        return Recorder(head=head, log=None, sink=sink, clock=clock, problem=not_recorded(problem))


def not_recorded(problem: DiagnosticsError) -> Diagnostic:
    first = problem.diagnostics[0]
    return Diagnostic(
        severity=Severity.WARNING,
        code="run-not-recorded",
        summary="The record of this run could not be kept",
        detail=f"{first.summary}. {first.detail}".strip(),
        hint="what was done is in the state all the same",
    )


def head_of(project: Project, plan: Plan, holder: LockInfo, state: State, now: datetime, suffix: str) -> RunHead:
    """How a run begins: who, what, when, and the steps that were asked for and have nothing to do."""
    options = plan.options
    return RunHead(
        id=f"{now.astimezone(UTC):%Y%m%dT%H%M%S}-{suffix[:6]}",
        command=project.command(options),
        project=plan.project,
        environment=plan.environment,
        target=str(plan.target),
        holder=holder.holder,
        lock_id=holder.id,
        started_at=moment(now),
        operations=len(plan.operations),
        steps=options.run,
        standing=() if options.destroy else _standing(project, plan, state),
    )


def _standing(project: Project, plan: Plan, state: State) -> tuple[StandingStep, ...]:
    """Steps that the run was about, and that are not in its plan."""
    options = plan.options
    planned = {operation.address for operation in plan.operations}
    named = options.run or options.targets
    found: list[StandingStep] = []
    for address in project.desired.resources:
        if address.kind != _STEP or address in planned or any(item.covers(address) for item in options.excludes):
            continue
        if named and not any(item.covers(address) for item in named):
            continue
        record = state.resources.get(address)
        if record is None or not record.setup:
            found.append(StandingStep(address=address, reason="runs only when it is asked for"))
            continue
        result = step_result(record.attributes, record.outputs, record.created_at)
        found.append(StandingStep(address=address, reason="up to date", result=result))
    return tuple(found)


def moment(now: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


# ---- afterwards


@dataclass(frozen=True, slots=True)
class Listed:
    summary: RunSummary
    status: RunStatus


async def list_runs(backend: Backend) -> Sequence[Listed]:
    """The runs that are kept, newest first."""
    held = await _held(backend)
    return [Listed(item, item.status(held)) for item in await backend.runs.list()]


async def newest_run(backend: Backend) -> Run | None:
    """The last run that is on record."""
    kept = await backend.runs.list()
    return await backend.runs.read(kept[0].head.id) if kept else None


async def find_run(backend: Backend, text: str | None) -> Run:
    """The run whose id begins with ``text``; the newest without one. Raises DiagnosticsError when there is none."""
    kept = await backend.runs.list()
    fitting = [item.head.id for item in kept if text is None or item.head.id.startswith(text)]
    exact = [found for found in fitting if found == text]
    if text is not None and len(fitting) > 1 and not exact:
        hint = f"more of the id is needed: {', '.join(fitting[:5])}"
        raise DiagnosticsError(error("ambiguous-run", f"Several runs have an id that begins with «{text}»", hint=hint))
    run = await backend.runs.read((exact or fitting)[0]) if fitting else None
    if run is None:
        what = "No run was recorded yet" if text is None else f"There is no run «{text}»"
        raise DiagnosticsError(error("unknown-run", what, hint="«nexus runs» lists those that are kept"))
    return run


async def status_of(backend: Backend, run: Run) -> RunStatus:
    """How it ended, or whether it goes on."""
    return run.summary.status(await _held(backend))


def operations_named(run: Run, text: str) -> Sequence[OperationRun]:
    """The operations that ``text`` means: an operation's id, an address, or the name of a step.

    Raises DiagnosticsError when the run has none of them.
    """
    found = [item for item in run.operations if text in _names(item)]
    if not found:
        raise DiagnosticsError(
            error(
                "unknown-operation",
                f"The run {run.head.id} did nothing on «{text}»",
                hint="«nexus runs show» lists what it did",
            )
        )
    return found


def _names(operation: OperationRun) -> tuple[str, ...]:
    address = operation.address
    step = address.name.partition(".")[2] if address.kind == _STEP else address.name
    key = "" if address.key is None else f"[{address.key}]"
    return operation.id, str(address), str(address.group), f"{address.group}{key}", step, f"{step}{key}"


async def _held(backend: Backend) -> str:
    holder = await backend.lock.holder()
    return "" if holder is None else holder.id
