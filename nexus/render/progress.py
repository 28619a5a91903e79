"""An apply as it happens: lines that stay, and on a terminal a live tail of what runs right now."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from rich.console import Console
from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action, Operation
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
from nexus.render.plan import print_plan
from nexus.render.summary import summary_text
from nexus.render.tail import Tail
from nexus.render.values import duration
from nexus.render.words import QUIET_VERBS, doing, done

MARKS: Final = {
    Outcome.SUCCEEDED: ("✓", "ok"),
    Outcome.UNCHANGED: ("=", "faint"),
    Outcome.FAILED: ("✗", "error"),
    Outcome.SKIPPED: ("-", "faint"),
    Outcome.CANCELLED: ("!", "warning"),
}
_KEPT_LINES: Final = 20


@dataclass(slots=True)
class Progress:
    """A sink that writes a line when something ends. The live form is the same sink with a tail.

    What builds of catalogue templates say is kept back, and shown when one fails; ``verbose`` shows it as it comes.
    """

    console: Console
    read_source: ReadSource
    tail: Tail | None = None
    verbose: bool = False
    _actions: Mapping[Address, Action] = field(default_factory=dict)
    _destroying: bool = False
    _ended_badly: list[OperationFinished] = field(default_factory=list)
    _kept_back: dict[str, deque[str]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if self.tail is not None:
            self.tail.observe(event)
        match event:
            case PlanReady(plan=plan):
                self._actions = {change.address: change.action for change in plan.changes}
                self._destroying = plan.options.destroy
                for diagnostic in plan.diagnostics:
                    self.console.print(diagnostic_text(diagnostic, self.read_source))
                print_plan(self.console, plan, verbose=self.verbose)
            case ApplyStarted():
                self.console.print()
            case OperationStarted(operation=operation):
                if self.tail is None and operation.verb not in QUIET_VERBS:
                    self._line("…", "faint", operation, doing(operation, self._action(operation)))
            case LogLine():
                self._log(event)
            case OperationFinished():
                self._finished(event)
            case DiagnosticRaised(diagnostic=diagnostic):
                self.console.print(diagnostic_text(diagnostic, self.read_source))
            case InterruptReceived(count=count):
                self.console.print(Text(_interrupted(count), style="warning"))
            case ApplyFinished():
                self.console.print()
                self.console.print(summary_text(event, self._actions, self._ended_badly, destroying=self._destroying))
            case OperationProgress():
                pass
            case _:
                assert_never(event)

    def _action(self, operation: Operation) -> Action | None:
        return self._actions.get(operation.address)

    def _log(self, event: LogLine) -> None:
        if not event.text.strip():
            return
        operation = event.operation
        if operation.address.kind == "catalogue" and not self.verbose:
            self._kept_back.setdefault(operation.id, deque(maxlen=_KEPT_LINES)).append(event.text)
            return
        self._log_line(operation, event.text)

    def _log_line(self, operation: Operation, line: str) -> None:
        self.console.print(Text(f"    {operation.address} │ ", style="faint").append(line.rstrip(), style="default"))

    def _finished(self, event: OperationFinished) -> None:
        operation = event.operation
        kept_back = self._kept_back.pop(operation.id, ())
        mark, style = MARKS[event.outcome]
        words, took = done(operation, self._action(operation)), duration(event.seconds)
        match event.outcome:
            case Outcome.SUCCEEDED:
                if operation.verb not in QUIET_VERBS:
                    self._line(mark, style, operation, words, took)
            case Outcome.UNCHANGED:
                self._line(mark, style, operation, f"{event.reason or 'nothing had to be done'}")
            case Outcome.FAILED:
                self._ended_badly.append(event)
                for line in kept_back:
                    self._log_line(operation, line)
                self._line(mark, style, operation, f"failed: {doing(operation, self._action(operation))}", took)
                if event.diagnostic is not None:
                    self.console.print(diagnostic_text(event.diagnostic, self.read_source))
            case Outcome.SKIPPED | Outcome.CANCELLED:
                self._ended_badly.append(event)
                if operation.verb not in QUIET_VERBS:
                    self._line(mark, style, operation, f"{event.outcome}: {event.reason}".rstrip(": "))
            case _:
                assert_never(event.outcome)

    def _line(self, mark: str, style: str, operation: Operation, words: str, took: str = "") -> None:
        text = Text(f"  {mark} ", style=style).append(str(operation.address), style="address").append(f": {words}")
        self.console.print(text.append(f"  {took}", style="faint") if took else text)


def _interrupted(count: int) -> str:
    if count == 1:
        return "Interrupted: finishing what is in flight; press Ctrl-C again to cancel it"
    return "Interrupted again: cancelling; the next apply picks up what was left open"
