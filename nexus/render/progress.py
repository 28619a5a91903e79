"""An apply as it happens, in lines that stay: of operations, or of whole resources where a board shows the rest."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, assert_never

from rich.console import Console
from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
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
from nexus.render.board import Board
from nexus.render.console import is_plain, wrapping_width
from nexus.render.diagnostics import ReadSource, diagnostic_text
from nexus.render.ledger import Account, Clock, Ledger
from nexus.render.plan import print_plan
from nexus.render.summary import Typed, summary_text
from nexus.render.values import duration
from nexus.render.words import DOING, DONE, QUIET_VERBS, doing, done

MARKS: Final = {
    Outcome.SUCCEEDED: ("✓", "ok"),
    Outcome.UNCHANGED: ("=", "faint"),
    Outcome.FAILED: ("✗", "error"),
    Outcome.SKIPPED: ("-", "faint"),
    Outcome.CANCELLED: ("!", "warning"),
}
_BADLY: Final = (Outcome.FAILED, Outcome.SKIPPED, Outcome.CANCELLED)
_KEPT_LINES: Final = 20
_NARROWEST: Final = 20
_BUILT: Final = ("template", "setup")
"""Kinds whose building the board shows as long as it lasts."""

_WORTH_TELLING: Final = 0.5
"""Seconds from which a part of the work on a resource is named beside its whole."""

_NEWS_FROM: Final = 20
"""So many instances, of one block, and more are told of at every quarter where there is no board."""


@dataclass(slots=True)
class Progress:
    """A sink that writes a line when something ends: every operation, but instances of a block together.

    ``live`` is for terminals: there the board shows operations as long as they run, and lines stay for whole resources.
    What package managers, builds that the board shows, builds of catalogue templates, and one of many sandboxes say is
    kept back, and shown when they fail; ``verbose`` shows it as it comes, and every instance by itself. What steps
    write is what they were run for.
    """

    console: Console
    read_source: ReadSource
    clock: Clock = time.monotonic
    live: bool = False
    verbose: bool = False
    typed: Typed = field(default_factory=Typed)
    board: Board | None = field(init=False)
    _ledger: Ledger = field(init=False)
    _plan: Plan | None = None
    _places: Mapping[Address, SourceRange | None] = field(default_factory=dict)
    _ended_badly: list[OperationFinished] = field(default_factory=list)
    _kept_back: dict[str, deque[str]] = field(default_factory=dict)
    _told: set[tuple[str, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.clock)
        self.board = Board(self.console, self._ledger, self._is_kept_back) if self.live else None

    def __call__(self, event: Event) -> None:
        if self.board is not None:
            self.board.observe(event)
        match event:
            case PlanReady(plan=plan):
                self._planned(plan)
            case ApplyStarted():
                self.console.print()
            case OperationStarted(operation=operation):
                self._started(operation)
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
                self.console.print(summary_text(event, self._plan, self._ended_badly, self.typed))
            case OperationProgress():
                pass
            case _:
                assert_never(event)

    def _planned(self, plan: Plan) -> None:
        self._plan = plan
        self._places = {change.address: change.source for change in plan.changes}
        self._ledger.open(plan, fold=not self.verbose)
        for diagnostic in plan.diagnostics:
            self._diagnostic(diagnostic)
        print_plan(self.console, plan, verbose=self.verbose)

    def _started(self, operation: Operation) -> None:
        account = self._ledger.account(operation)
        is_first = account.since is None
        self._ledger.start(operation)
        if self.live:
            return
        if not account.is_fold and operation.verb not in QUIET_VERBS:
            self._line("…", "faint", str(operation.address), doing(operation, account.action))
        elif account.is_fold and is_first:
            words = DOING[account.action] if account.action else doing(operation)
            self._line("…", "faint", account.title, f"{words} {account.count}")

    def _log(self, event: LogLine) -> None:
        if not event.text.strip():
            return
        operation = event.operation
        if self._is_kept_back(operation):
            self._kept_back.setdefault(operation.id, deque(maxlen=_KEPT_LINES)).append(event.text)
            return
        self._log_line(operation, event.text)

    def _is_kept_back(self, operation: Operation) -> bool:
        """Whether what it writes is shown only when it fails."""
        if self.verbose:
            return False
        kind = operation.address.kind
        is_chatter = kind == "catalogue" or operation.verb is Verb.INSTALL or (self.live and kind in _BUILT)
        return is_chatter or (kind != "step" and self._ledger.account(operation).is_fold)

    def _log_line(self, operation: Operation, line: str) -> None:
        prefix, line = f"    {operation.address} │ ", line.rstrip()
        if is_plain(self.console):  # a step may write millions of lines
            self.console.file.write(f"{prefix}{line}\n")
            return
        room = max((wrapping_width(self.console) or len(line)) - len(prefix), _NARROWEST)
        for start in range(0, max(len(line), 1), room):
            self.console.print(Text.assemble((prefix, "faint"), line[start : start + room]))

    def _finished(self, event: OperationFinished) -> None:
        account = self._ledger.account(event.operation)
        was_bad = account.outcomes.get(event.operation.address) in _BADLY
        closed = account.closed
        account.take(event)
        kept_back = self._kept_back.pop(event.operation.id, ())
        match event.outcome:
            case Outcome.SUCCEEDED:
                self._succeeded(event, account)
            case Outcome.UNCHANGED:
                if not account.is_fold:
                    self._event_line(event, event.reason or event.note or "nothing had to be done")
            case Outcome.FAILED:
                self._failed(event, account, kept_back)
            case Outcome.SKIPPED | Outcome.CANCELLED:
                self._ended_badly.append(event)
                if not (account.is_fold or was_bad):
                    self._event_line(event, f"{event.outcome}: {event.reason}".rstrip(": "))
            case _:
                assert_never(event.outcome)
        if account.is_closed:
            self._closed(account)
        elif not self.live and account.count >= _NEWS_FROM and account.closed > closed:
            self._news(account)

    def _succeeded(self, event: OperationFinished, account: Account) -> None:
        operation = event.operation
        is_told_later = self.live or account.is_fold or operation.verb in QUIET_VERBS
        if is_told_later and not event.note:
            return
        words = done(operation, account.action)
        self._event_line(event, f"{words}; {event.note}" if event.note else words, duration(event.seconds))

    def _failed(self, event: OperationFinished, account: Account, kept_back: Collection[str]) -> None:
        """What it wrote, and why it failed: once, where many fail in the same way."""
        self._ended_badly.append(event)
        operation, diagnostic = event.operation, event.diagnostic
        known = diagnostic is not None and (diagnostic.code, diagnostic.summary, diagnostic.detail) in self._told
        if not (known or _tells(diagnostic, kept_back)):
            for line in kept_back:
                self._log_line(operation, line)
        words = f"failed: {doing(operation, account.action)}{', as above' if known else ''}"
        self._event_line(event, words, duration(event.seconds))
        if diagnostic is not None and not known:
            self._told.add((diagnostic.code, diagnostic.summary, diagnostic.detail))
            self._diagnostic(diagnostic.at(self._places.get(operation.address)))

    def _closed(self, account: Account) -> None:
        """The line for instances together, or for a resource that was only on the board until now."""
        took = duration(self._ledger.seconds(account))
        mark, style = MARKS[account.outcome]
        if account.is_fold:
            self._line(mark, style, account.title, _counted(account), took)
        elif self.live and account.outcome is Outcome.SUCCEEDED:
            self._line(mark, style, account.title, _as_a_whole(account), took, _parts(account))

    def _news(self, account: Account) -> None:
        """How many are through, at every quarter."""
        quarter = account.count // 4
        if account.closed % quarter == 0:
            self._line("…", "faint", account.title, f"{account.closed} of {account.count} are through")

    def _diagnostic(self, diagnostic: Diagnostic) -> None:
        self.console.print(diagnostic_text(diagnostic, self.read_source, wrapping_width(self.console)))

    def _event_line(self, event: OperationFinished, words: str, took: str = "") -> None:
        self._line(*MARKS[event.outcome], str(event.operation.address), words, took)

    def _line(self, mark: str, style: str, name: str, words: str, took: str = "", parts: str = "") -> None:
        text = Text.assemble((f"  {mark} ", style), (name, "address"), f": {words}")
        if took:
            text.append(f"  {took}", style="faint")
        if parts:
            fits = text.cell_len + len(parts) + 4 <= self.console.width
            text.append(f"  ({parts})" if fits else f"\n    {parts}", style="faint")
        self.console.print(text)


def _as_a_whole(account: Account) -> str:
    """What was done to a resource: the one thing, or what all of it comes to."""
    if len(account.parts) == 1 or account.action is None:
        return ", ".join(words for words, _ in account.parts)
    return DONE[account.action]


def _parts(account: Account) -> str:
    """What took its time: ``installed pip packages 3.4s, ran startup_script 2.1s``."""
    if len(account.parts) == 1:
        return ""
    return ", ".join(f"{words} {duration(seconds)}" for words, seconds in account.parts if seconds >= _WORTH_TELLING)


def _counted(account: Account) -> str:
    """``97 created, 3 failed``."""
    counts = account.counts
    succeeded = DONE[account.action] if account.action else "done"
    words = {outcome: succeeded if outcome is Outcome.SUCCEEDED else str(outcome) for outcome in Outcome}
    parts = [f"{counts[outcome]} {word}" for outcome, word in words.items() if counts[outcome]]
    return ", ".join(parts)


def _tells(diagnostic: Diagnostic | None, lines: Collection[str]) -> bool:
    """Whether the message quotes the last of these lines already."""
    last = next((line.strip() for line in reversed(list(lines)) if line.strip()), "")
    return diagnostic is not None and last in diagnostic.detail


def _interrupted(count: int) -> str:
    if count == 1:
        return "Interrupted: finishing what is in flight; press Ctrl-C again to cancel it"
    return "Interrupted again: cancelling; the next apply picks up what was left open"
