"""An apply as it happens: lines that stay, and on a terminal a live tail of what runs right now."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nexus.model.changes import Operation, Verb
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    PlanReady,
)
from nexus.render.diagnostics import ReadSource, diagnostic_text
from nexus.render.values import duration, plural

DOING = {
    Verb.CREATE: "creating",
    Verb.ARM: "setting the time to live",
    Verb.EXTEND: "extending",
    Verb.RESUME: "resuming",
    Verb.SET_NETWORK: "changing network rules",
    Verb.SET_ENV: "setting variables",
    Verb.INSTALL: "installing packages",
    Verb.UPLOAD: "uploading",
    Verb.RUN_COMMAND: "running",
    Verb.START: "starting",
    Verb.AWAIT_READY: "waiting until ready",
    Verb.BUILD: "building",
    Verb.SET_TAGS: "moving tags",
    Verb.SET_PUBLIC: "changing visibility",
    Verb.RUN_STEP: "running",
    Verb.DELETE: "deleting",
    Verb.FORGET: "forgetting",
    Verb.RECORD: "recording",
}
QUIET_VERBS = frozenset({Verb.ARM, Verb.RECORD, Verb.FORGET})
MARKS = {
    Outcome.SUCCEEDED: ("✓", "ok"),
    Outcome.UNCHANGED: ("=", "faint"),
    Outcome.FAILED: ("✗", "error"),
    Outcome.SKIPPED: ("-", "faint"),
    Outcome.CANCELLED: ("!", "warning"),
}


def doing(operation: Operation) -> str:
    """What an operation does, in words: ``installing packages (pip)``."""
    unit = f" ({operation.unit})" if operation.unit else ""
    return f"{DOING[operation.verb]}{unit}"


@dataclass(slots=True)
class Progress:
    """A sink that writes a line when something ends. The live form is the same sink with a tail."""

    console: Console
    read_source: ReadSource
    tail: Tail | None = None
    _failed: list[OperationFinished] = field(default_factory=list)

    def __call__(self, event: Event) -> None:
        if self.tail is not None:
            self.tail.observe(event)
        match event:
            case OperationStarted(operation=operation) if self.tail is None and operation.verb not in QUIET_VERBS:
                self._line("…", "faint", operation, doing(operation))
            case LogLine(operation=operation, text=line):
                self._print(Text(f"    {operation.address} │ ", style="faint").append(line, style="default"))
            case OperationFinished():
                self._finished(event)
            case DiagnosticRaised(diagnostic=diagnostic):
                self._print(diagnostic_text(diagnostic, self.read_source))
            case InterruptReceived(count=1):
                self._print(
                    Text("Interrupted: finishing what is in flight; press Ctrl-C again to cancel it", "warning")
                )
            case InterruptReceived():
                self._print(
                    Text("Interrupted again: cancelling; the next apply picks up what was left open", "warning")
                )
            case ApplyFinished():
                self._summary(event)
            case PlanReady() | ApplyStarted() | OperationStarted() | OperationProgress():
                pass

    def _finished(self, event: OperationFinished) -> None:
        mark, style = MARKS[event.outcome]
        operation = event.operation
        match event.outcome:
            case Outcome.SKIPPED | Outcome.UNCHANGED | Outcome.CANCELLED:
                self._line(
                    mark, style, operation, f"{operation.verb} {event.outcome}: {event.reason or 'nothing to do'}"
                )
            case Outcome.FAILED:
                self._failed.append(event)
                self._line(mark, style, operation, f"{doing(operation)} failed after {duration(event.seconds)}")
                if event.diagnostic is not None:
                    self._print(diagnostic_text(event.diagnostic, self.read_source))
            case _ if operation.verb not in QUIET_VERBS:
                self._line(mark, style, operation, f"{doing(operation)} done in {duration(event.seconds)}")

    def _line(self, mark: str, style: str, operation: Operation, words: str) -> None:
        self._print(
            Text(f"  {mark} ", style=style).append(str(operation.address), style="address").append(f": {words}")
        )

    def _print(self, text: Text) -> None:
        self.console.print(text)

    def _summary(self, event: ApplyFinished) -> None:
        counts = Counter(event.changes.values())
        done = counts[Outcome.SUCCEEDED] + counts[Outcome.UNCHANGED]
        parts = [f"{plural(done, 'change')} done"]
        parts += [
            f"{counts[outcome]} {outcome}"
            for outcome in (Outcome.FAILED, Outcome.SKIPPED, Outcome.CANCELLED)
            if counts[outcome]
        ]
        whole = not (
            counts[Outcome.FAILED] or counts[Outcome.SKIPPED] or counts[Outcome.CANCELLED] or event.interrupted
        )
        word = "Apply complete" if whole else "Interrupted" if event.interrupted else "Apply incomplete"
        self._print(
            Text(f"{word}: {', '.join(parts)}, in {duration(event.seconds)}.", style="ok" if whole else "error")
        )
        for failure in self._failed:
            summary = failure.diagnostic.summary if failure.diagnostic else "failed"
            self._print(Text(f"  ✗ {failure.operation.address}: {summary}", style="error"))
        if not whole:
            self._print(Text("What is done is recorded. Run «nexus apply» again to continue.", style="hint"))


class Clock(Protocol):
    def __call__(self) -> float:
        """Seconds, monotonic."""


@dataclass(slots=True)
class Running:
    operation: Operation
    since: float
    message: str = ""


@dataclass(slots=True)
class Tail:
    """The operations that run right now, redrawn in place under the lines that stay."""

    console: Console
    clock: Clock
    total: int = 0
    finished: int = 0
    running: dict[str, Running] = field(default_factory=dict)
    _live: Live | None = None

    def observe(self, event: Event) -> None:
        match event:
            case ApplyStarted(operations=total):
                self.total = total
                self._live = Live(
                    console=self.console, get_renderable=self.render, refresh_per_second=8, transient=True
                )
                self._live.start()
            case OperationStarted(operation=operation):
                self.running[operation.id] = Running(operation, self.clock())
            case OperationProgress(operation=operation, message=message) if operation.id in self.running:
                self.running[operation.id].message = message
            case OperationFinished(operation=operation):
                self.running.pop(operation.id, None)
                self.finished += 1
            case ApplyFinished():
                self.close()

    def close(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        now = self.clock()
        shown = sorted(self.running.values(), key=lambda item: item.since)[: max(self.console.height - 4, 3)]
        for item in shown:
            words = Text(str(item.operation.address), style="address").append(f": {doing(item.operation)}")
            if item.message:
                words.append(f" – {item.message}", style="faint")
            words.no_wrap, words.overflow = True, "ellipsis"
            table.add_row(Spinner("dots"), words, Text(duration(now - item.since), style="faint"))
        hidden = len(self.running) - len(shown)
        more = f", {hidden} more running" if hidden else ""
        table.add_row("", Text(f"{self.finished} of {plural(self.total, 'operation')} done{more}", style="faint"), "")
        return table
