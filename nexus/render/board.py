"""What runs right now, as a tree: drawn anew several times a second under the lines that stay."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from nexus.model.changes import Operation
from nexus.model.events import (
    ApplyStarted,
    Event,
    LogLine,
    OperationFinished,
    OperationProgress,
    OperationStarted,
)
from nexus.render.console import WIDEST
from nexus.render.ledger import Account, Ledger
from nexus.render.values import duration, plural
from nexus.render.waiting import turning
from nexus.render.words import DONE, doing

_SLOW: Final = 3.0
"""Seconds after which what an operation writes is worth lines of its own."""

_LINES: Final = 3
_MEMBERS: Final = 4
_AROUND: Final = 4
"""Lines of the terminal that are left to what stays."""

Row = tuple[Text, Text]
"""What is said at the left, and at the right."""


@dataclass(slots=True)
class Running:
    operation: Operation
    since: float
    expected: float | None = None
    message: str = ""
    lines: deque[str] = field(default_factory=lambda: deque(maxlen=_LINES))


@dataclass(slots=True)
class Board:
    """The operations that run right now, those of many alike under one head, and how far it all is."""

    console: Console
    ledger: Ledger
    keeps_back: Callable[[Operation], bool]
    """Whether nothing that an operation writes is shown anywhere else."""

    total: int = 0
    finished: int = 0
    began_at: float = 0.0
    ends_at: float | None = None
    running: dict[str, Running] = field(default_factory=dict)

    def observe(self, event: Event) -> None:
        match event:
            case ApplyStarted(operations=total, expected_seconds=expected):
                self.total, self.began_at = total, self.ledger.clock()
                self._expect(expected)
            case OperationStarted(operation=operation, expected_seconds=expected):
                self.running[operation.id] = Running(operation, self.ledger.clock(), expected)
            case OperationProgress(operation=operation, message=message):
                self._hear(operation, message, is_line=False)
            case LogLine(operation=operation, text=text):
                self._hear(operation, text, is_line=True)
            case OperationFinished(operation=operation, remaining_seconds=remaining):
                self.running.pop(operation.id, None)
                self.finished += 1
                self._expect(remaining)
            case _:
                pass

    def render(self) -> RenderableType:
        table = Table.grid(padding=(0, 1), expand=True)
        table.width = min(self.console.width, WIDEST)
        table.add_column(ratio=1, no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        for left, right in self._fitting(self._blocks()):
            table.add_row(left, right)
        return Group(table, self._how_far())

    def _hear(self, operation: Operation, text: str, *, is_line: bool) -> None:
        item, said = self.running.get(operation.id), _printable(text)
        if item is not None and said:
            item.message = said
            if is_line and self.keeps_back(operation):
                item.lines.append(said)

    def _expect(self, seconds: float | None) -> None:
        self.ends_at = None if seconds is None else self.ledger.clock() + seconds

    def _blocks(self) -> list[list[Row]]:
        """A block for each resource, or for many alike, that something happens to: its head, then details."""
        groups: dict[int, tuple[Account, list[Running]]] = {}
        for item in sorted(self.running.values(), key=lambda item: item.since):
            account = self.ledger.account(item.operation)
            groups.setdefault(id(account), (account, []))[1].append(item)
        return [
            self._many(account, items) if account.is_fold else [row for item in items for row in self._one(item)]
            for account, items in groups.values()
        ]

    def _one(self, item: Running) -> list[Row]:
        """An operation, and what it last wrote: behind it, or below it once it is slow."""
        operation = item.operation
        said = doing(operation, self.ledger.account(operation).action)
        words = Text.assemble((f"{self._turning()} ", "run"), (str(operation.address), "address"), f": {said}")
        is_slow = self.ledger.clock() - item.since >= _SLOW
        lines = list(item.lines) if is_slow else []
        if item.message not in ("", said) and not lines:
            words.append(f"  {item.message}", style="faint")
        return [(words, self._time(item)), *((Text(f"    │ {line}", style="faint"), Text()) for line in lines)]

    def _many(self, account: Account, items: Sequence[Running]) -> list[Row]:
        """How many of the instances are through, how many are begun, and what has run longest of all."""
        done = DONE[account.action] if account.action else "done"
        head = Text.assemble((f"{self._turning()} ", "run"), (account.title, "address"))
        head.append(f": {account.closed} of {account.count} {done}")
        if begun := account.begun:
            head.append(f", {begun} more begun", style="faint")
        shown = items if len(items) <= _MEMBERS else items[: _MEMBERS - 1]
        members = [(self._member(account, item), self._time(item)) for item in shown]
        if hidden := len(items) - len(shown):
            members.append((f"… {hidden} more of them", Text()))
        branches = ["├"] * (len(members) - 1) + ["└"]
        rows = [
            (Text(f"  {branch} {words}", style="faint"), time)
            for branch, (words, time) in zip(branches, members, strict=True)
        ]
        return [(head, Text(duration(self.ledger.seconds(account)), style="faint")), *rows]

    def _member(self, account: Account, item: Running) -> str:
        said = doing(item.operation, account.action)
        message = f"  {item.message}" if item.message not in ("", said) else ""
        return f"[{item.operation.address.key}] {said}{message}"

    def _time(self, item: Running) -> Text:
        """How long it has run; of how long it took other times, as long as that is to be believed."""
        elapsed = self.ledger.clock() - item.since
        usual = item.expected or 0.0
        of = f" of ~{duration(usual)}" if usual >= max(_SLOW, elapsed) else ""
        return Text(f"{duration(elapsed)}{of}", style="faint")

    def _fitting(self, blocks: Sequence[list[Row]]) -> list[Row]:
        """As much as fits on the terminal: heads before details, and what began first before the rest."""
        room = max(self.console.height - _AROUND, 3)
        shown = blocks if len(blocks) <= room else blocks[: room - 1]
        spare = room - len(blocks)
        rows: list[Row] = []
        for block in shown:
            details = list(islice(block[1:], max(spare, 0)))
            spare -= len(details)
            rows += [block[0], *details]
        if hidden := len(blocks) - len(shown):
            rows.append((Text(f"  … {hidden} more", style="faint"), Text()))
        return rows

    def _how_far(self) -> Text:
        """A bar, the count, the time so far, and the time that is left where that is known."""
        now = self.ledger.clock()
        width = max(min(self.console.width // 4, 30), 10)
        filled = width * self.finished // max(self.total, 1)
        words = Text.assemble(("━" * filled, "ok"), ("─" * (width - filled), "faint"))
        facts = [f"{self.finished} of {plural(self.total, 'operation')}", duration(now - self.began_at)]
        if self.ends_at is not None and self.ends_at - now >= 1.0:
            facts.append(f"about {duration(self.ends_at - now)} left")
        words.append(f"  {' · '.join(facts)}", style="faint")
        words.truncate(self.console.width, overflow="ellipsis")
        return words

    def _turning(self) -> str:
        return turning(self.ledger.clock())


def _printable(text: str) -> str:
    """The last line that is seen of what a program wrote, without colours and movements."""
    line = text.rstrip().rpartition("\r")[2]
    return "".join(sign if sign.isprintable() else " " for sign in Text.from_ansi(line).plain).strip()
