"""An apply as it happens: lines that stay, and on a terminal a live tail of what runs right now."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from rich.console import Console
from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action, Operation, PlanOptions, Verb
from nexus.model.diagnostics import Diagnostic, SourceRange
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
from nexus.render.console import is_plain, wrapping_width
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

    What package managers and builds of catalogue templates say is kept back, and shown when they fail; ``verbose``
    shows it as it comes.
    """

    console: Console
    read_source: ReadSource
    tail: Tail | None = None
    verbose: bool = False
    _actions: Mapping[Address, Action] = field(default_factory=dict)
    _places: Mapping[Address, SourceRange | None] = field(default_factory=dict)
    _command: str = "apply"
    _ended_badly: list[OperationFinished] = field(default_factory=list)
    _kept_back: dict[str, deque[str]] = field(default_factory=dict)

    def __call__(self, event: Event) -> None:
        if self.tail is not None:
            self.tail.observe(event)
        match event:
            case PlanReady(plan=plan):
                self._actions = {change.address: change.action for change in plan.changes}
                self._places = {change.address: change.source for change in plan.changes}
                self._command = _command(plan.options)
                for diagnostic in plan.diagnostics:
                    self._diagnostic(diagnostic)
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
                self._diagnostic(diagnostic)
            case InterruptReceived(count=count):
                self.console.print(Text(_interrupted(count), style="warning"))
            case ApplyFinished():
                self.console.print()
                self.console.print(summary_text(event, self._actions, self._ended_badly, command=self._command))
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
        if _is_chatter(operation) and not self.verbose:
            self._kept_back.setdefault(operation.id, deque(maxlen=_KEPT_LINES)).append(event.text)
            return
        self._log_line(operation, event.text)

    def _log_line(self, operation: Operation, line: str) -> None:
        prefix, line = f"    {operation.address} │ ", line.rstrip()
        if is_plain(self.console):  # a step may write millions of lines
            self.console.file.write(f"{prefix}{line}\n")
        else:
            self.console.print(Text.assemble((prefix, "faint"), line))

    def _finished(self, event: OperationFinished) -> None:
        operation = event.operation
        kept_back = self._kept_back.pop(operation.id, ())
        mark, style = MARKS[event.outcome]
        words, took = done(operation, self._action(operation)), duration(event.seconds)
        match event.outcome:
            case Outcome.SUCCEEDED:
                if operation.verb not in QUIET_VERBS:
                    self._line(mark, style, operation, f"{words}; {event.note}" if event.note else words, took)
            case Outcome.UNCHANGED:
                self._line(mark, style, operation, event.reason or event.note or "nothing had to be done")
            case Outcome.FAILED:
                self._ended_badly.append(event)
                for line in kept_back if not _tells(event.diagnostic, kept_back) else ():
                    self._log_line(operation, line)
                self._line(mark, style, operation, f"failed: {doing(operation, self._action(operation))}", took)
                if event.diagnostic is not None:
                    self._diagnostic(event.diagnostic.at(self._places.get(operation.address)))
            case Outcome.SKIPPED | Outcome.CANCELLED:
                self._ended_badly.append(event)
                if operation.verb not in QUIET_VERBS:
                    self._line(mark, style, operation, f"{event.outcome}: {event.reason}".rstrip(": "))
            case _:
                assert_never(event.outcome)

    def _diagnostic(self, diagnostic: Diagnostic) -> None:
        self.console.print(diagnostic_text(diagnostic, self.read_source, wrapping_width(self.console)))

    def _line(self, mark: str, style: str, operation: Operation, words: str, took: str = "") -> None:
        text = Text.assemble((f"  {mark} ", style), (str(operation.address), "address"), f": {words}")
        self.console.print(text.append(f"  {took}", style="faint") if took else text)


def _command(options: PlanOptions) -> str:
    """The command that makes such a plan."""
    if options.run:
        return " ".join(["run", *dict.fromkeys(step.name.partition(".")[0] for step in options.run)])
    return "destroy" if options.destroy else "apply"


def _is_chatter(operation: Operation) -> bool:
    return operation.address.kind == "catalogue" or operation.verb is Verb.INSTALL


def _tells(diagnostic: Diagnostic | None, lines: Collection[str]) -> bool:
    """Whether the message quotes the last of these lines already."""
    last = next((line.strip() for line in reversed(list(lines)) if line.strip()), "")
    return diagnostic is not None and last in diagnostic.detail


def _interrupted(count: int) -> str:
    if count == 1:
        return "Interrupted: finishing what is in flight; press Ctrl-C again to cancel it"
    return "Interrupted again: cancelling; the next apply picks up what was left open"
