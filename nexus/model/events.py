"""What the engine tells the outside while it works. Renderers listen; nothing below them prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan
from nexus.model.diagnostics import Diagnostic
from nexus.model.state import ResourceRecord


class Outcome(StrEnum):
    SUCCEEDED = "succeeded"
    UNCHANGED = "unchanged"  # it turned out that nothing had to be done
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReady:
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyStarted:
    """``expected_seconds`` is how long it will take, as far as earlier runs tell."""

    operations: int
    expected_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationStarted:
    operation: Operation
    expected_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationProgress:
    """A short sentence of what is going on; replaces the one before."""

    operation: Operation
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line that something wrote: a build, a command, a step. ``stream`` is stdout, stderr or build."""

    operation: Operation
    stream: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationFinished:
    """``seconds`` is wall time. ``diagnostic`` says why it failed; ``reason`` why it was skipped.

    ``note`` tells what it left behind that a person has to know of, such as the id of a snapshot.
    ``remaining_seconds`` is how long the rest of the apply will take, roughly. ``record`` is what is remembered of the
    resource from now on, where the operation says it.
    """

    operation: Operation
    outcome: Outcome
    seconds: float = 0.0
    diagnostic: Diagnostic | None = None
    reason: str = ""
    note: str = ""
    remaining_seconds: float | None = None
    record: ResourceRecord | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosticRaised:
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptReceived:
    """Ctrl-C: ``count`` 1 finishes what is in flight, 2 cancels it."""

    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyFinished:
    """``outcomes`` counts operations; ``changes`` maps each changed address to how its change ended."""

    seconds: float
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    changes: Mapping[Address, Outcome] = field(default_factory=dict)
    interrupted: bool = False


Event: TypeAlias = (
    PlanReady
    | ApplyStarted
    | OperationStarted
    | OperationProgress
    | LogLine
    | OperationFinished
    | DiagnosticRaised
    | InterruptReceived
    | ApplyFinished
)


class Sink(Protocol):
    """Anything that listens. Called from the event loop's thread only; must not block for long."""

    def __call__(self, event: Event, /) -> None: ...
