"""What runs right now, redrawn in place under the lines that stay. Only on a terminal."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from rich.console import Console, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from nexus.model.addresses import Address
from nexus.model.changes import Action, Operation
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    Event,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    PlanReady,
)
from nexus.render.values import duration, plural
from nexus.render.words import doing


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
    """The operations that run right now, and how far it all is."""

    console: Console
    clock: Clock
    total: int = 0
    finished: int = 0
    ends_at: float | None = None
    running: dict[str, Running] = field(default_factory=dict)
    _actions: dict[Address, Action] = field(default_factory=dict)
    _live: Live | None = None

    def observe(self, event: Event) -> None:
        match event:
            case PlanReady(plan=plan):
                self._actions = {change.address: change.action for change in plan.changes}
            case ApplyStarted(operations=total, expected_seconds=expected):
                self.total = total
                self._expect(expected)
                self._live = Live(
                    console=self.console, get_renderable=self.render, refresh_per_second=8, transient=True
                )
                self._live.start()
            case OperationStarted(operation=operation):
                self.running[operation.id] = Running(operation, self.clock())
            case OperationProgress(operation=operation, message=text) | LogLine(operation=operation, text=text):
                if operation.id in self.running and text.strip():
                    self.running[operation.id].message = text.strip()
            case OperationFinished(operation=operation, remaining_seconds=remaining):
                self.running.pop(operation.id, None)
                self.finished += 1
                self._expect(remaining)
            case ApplyFinished():
                self.close()
            case _:
                pass

    def close(self) -> None:
        """Leave the terminal as it was. Safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def render(self) -> RenderableType:
        now = self.clock()
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(width=1)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        shown = sorted(self.running.values(), key=lambda item: item.since)[: max(self.console.height - 4, 3)]
        for item in shown:
            table.add_row(Spinner("dots", style="run"), self._words(item), Text(duration(now - item.since), "faint"))
        hidden = len(self.running) - len(shown)
        more = f", {hidden} more running" if hidden else ""
        words = f"{self.finished} of {plural(self.total, 'operation')} done{more}{self._ending(now)}"
        table.add_row("", Text(words, style="faint"), "")
        return table

    def _expect(self, seconds: float | None) -> None:
        self.ends_at = None if seconds is None else self.clock() + seconds

    def _ending(self, now: float) -> str:
        """How long it will still take; nothing where that was thought to be over."""
        if self.ends_at is None or self.ends_at - now < 1.0:
            return ""
        return f", about {duration(self.ends_at - now)} left"

    def _words(self, item: Running) -> Text:
        operation = item.operation
        said = doing(operation, self._actions.get(operation.address))
        words = Text.assemble((str(operation.address), "address"), f": {said}")
        if item.message:
            words.append(f"  {item.message}", style="faint")
        return words
