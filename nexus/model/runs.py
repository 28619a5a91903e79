"""Runs: what one apply, destroy or run of a pipeline did, operation by operation, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from nexus.model.addresses import Address
from nexus.model.events import Outcome
from nexus.model.values import Attributes, Value


class RunStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    INTERRUPTED = "interrupted"  # by Ctrl-C, or it was killed and never said how it ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file that a step left. ``size`` is in bytes."""

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """What is known of a step's run. CPU time in seconds and memory in bytes are None where nobody measured them.

    ``cached``: its outputs were taken from an earlier run of the same, nothing ran. ``ran_at`` is RFC 3339 in UTC.
    """

    sandbox: str = ""
    sandbox_id: str = ""
    attempts: int = 0
    exit_code: int | None = None
    cpu_seconds: float | None = None
    peak_memory: int | None = None
    cached: bool = False
    artefacts: Mapping[str, Artefact] = field(default_factory=dict)
    ran_at: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandingStep:
    """A step that was asked for and had nothing to do. ``reason`` says why; ``result`` is that of its last run."""

    address: Address
    reason: str
    result: StepResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHead:
    """How a run began. ``command`` is apply, destroy, run, rollback v1.4 …; ``steps`` are those that were asked for.

    ``holder`` is user@host, ``lock_id`` the holding of the lock under which it works. Times are RFC 3339 in UTC.
    """

    id: str
    command: str
    project: str
    environment: str
    target: str
    holder: str
    lock_id: str
    started_at: str
    operations: int
    steps: tuple[Address, ...] = ()
    standing: tuple[StandingStep, ...] = ()

    @property
    def words(self) -> str:
        """What was typed, roughly: ``run etl extract``."""
        names = [address.name.partition(".") for address in self.steps]
        pipelines = list(dict.fromkeys(owner for owner, _, _ in names))
        return " ".join([self.command, *pipelines, *([names[0][2]] if len(names) == 1 else [])])


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRun:
    """One operation. ``outcome`` None is one that was under way when the run was killed, or still is.

    One that was never started has no ``started_at``. ``code`` and ``detail`` tell why it failed, ``reason`` why it was
    skipped. ``log_lines`` counts what it wrote, ``tail`` is the end of that.
    """

    id: str
    verb: str
    address: Address
    unit: str = ""
    cause: str = ""
    needs: tuple[str, ...] = ()
    started_at: str = ""
    ended_at: str = ""
    seconds: float = 0.0
    outcome: Outcome | None = None
    reason: str = ""
    note: str = ""
    code: str = ""
    summary: str = ""
    detail: str = ""
    step: StepResult | None = None
    log_lines: int = 0
    tail: tuple[str, ...] = ()

    @property
    def is_step(self) -> bool:
        return self.verb == "run-step"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended. ``outcomes`` counts operations."""

    ended_at: str
    seconds: float
    interrupted: bool = False
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)


RunEntry: TypeAlias = OperationRun | RunEnd
"""What is noted while a run goes on: each operation when it starts and again when it ends, and the end of all."""


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A run without its operations. ``end`` is None for one that never said how it ended."""

    head: RunHead
    end: RunEnd | None = None

    def status(self, held: str) -> RunStatus:
        """How it ended; ``held`` is the id of the lock's holding now, "" when nobody holds it."""
        if self.end is None:
            return RunStatus.RUNNING if held and held == self.head.lock_id else RunStatus.INTERRUPTED
        if self.end.interrupted:
            return RunStatus.INTERRUPTED
        bad = (Outcome.FAILED, Outcome.SKIPPED, Outcome.CANCELLED)
        return RunStatus.FAILED if any(self.end.outcomes.get(item) for item in bad) else RunStatus.SUCCEEDED


@dataclass(frozen=True, slots=True)
class Run:
    """A whole run; ``operations`` in the order in which they started, those that never did after them."""

    summary: RunSummary
    operations: tuple[OperationRun, ...] = ()

    @property
    def head(self) -> RunHead:
        return self.summary.head

    @property
    def steps(self) -> tuple[OperationRun, ...]:
        return tuple(item for item in self.operations if item.is_step)


def run_of(head: RunHead, entries: tuple[RunEntry, ...]) -> Run:
    """A run from what was noted of it: of each operation the last that was said."""
    operations: dict[str, OperationRun] = {}
    end: RunEnd | None = None
    for entry in entries:
        if isinstance(entry, RunEnd):
            end = entry
        else:
            operations[entry.id] = entry
    ordered = sorted(operations.values(), key=lambda item: not item.started_at)
    return Run(RunSummary(head, end), tuple(ordered))


def step_result(attributes: Attributes, outputs: Attributes, ran_at: str) -> StepResult:
    """What a step's record tells of its run."""
    sandbox = attributes.get("sandbox")
    where = sandbox if isinstance(sandbox, dict) else {}
    made = outputs.get("outputs")
    return StepResult(
        sandbox=_text(where.get("address")),
        sandbox_id=_text(outputs.get("sandbox_id")) or _text(where.get("id")),
        attempts=_whole(outputs.get("attempts")) or 0,
        exit_code=_whole(outputs.get("exit_code")),
        cpu_seconds=_number(outputs.get("cpu_seconds")),
        peak_memory=_whole(outputs.get("peak_memory")),
        cached=outputs.get("cached") is True,
        artefacts=_artefacts(made if isinstance(made, dict) else {}),
        ran_at=ran_at,
    )


def _artefacts(made: Mapping[str, Value]) -> dict[str, Artefact]:
    return {
        name: Artefact(
            path=_text(item.get("path")), size=_whole(item.get("size")) or 0, sha256=_text(item.get("sha256"))
        )
        for name, item in made.items()
        if isinstance(item, dict)
    }


def _text(value: Value) -> str:
    return value if isinstance(value, str) else ""


def _whole(value: Value) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _number(value: Value) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None
