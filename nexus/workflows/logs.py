"""The use case `logs`: what E2B keeps of what a sandbox said, and what it says from now on.

All of it is read, whatever is wanted of it: whose work a line is about, another line tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.providers.failures import SANDBOX_NOT_FOUND
from nexus.providers.operating import LogEntry, Operator
from nexus.workflows.operating import Sandbox, about

_PAGE: Final = 1000
_BETWEEN_LOOKS: Final = 1.0
_THE_BEGINNING: Final = datetime.fromtimestamp(0, UTC)
_LEVELS: Final = ("debug", "info", "warn", "error")


@dataclass(frozen=True, slots=True)
class Logs:
    """The newest ``entries``, the oldest first; the rest is about all that are kept and wanted."""

    entries: Sequence[LogEntry]
    total: int
    size: int
    oldest: datetime | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Lines at or above ``level``, or of all; with ``own`` also those about what nexus itself does in the sandbox."""

    level: str | None = None
    own: bool = False


async def read_logs(operator: Operator, sandbox: Sandbox, lines: int, wanted: Wanted) -> Logs:
    """The last ``lines`` of what is ``wanted``, and how much there is of it."""
    entries = _Choice(wanted).of(await _all_logs(operator, sandbox))
    return Logs(
        entries=entries[-lines:],
        total=len(entries),
        size=sum(len(entry.message.encode()) + 1 for entry in entries),
        oldest=entries[0].time if entries else None,
    )


async def _all_logs(operator: Operator, sandbox: Sandbox) -> list[LogEntry]:
    with about(sandbox):
        first = await operator.logs(sandbox.id, limit=_PAGE)
        if len(first) < _PAGE:
            return list(first)
        news = _News(_THE_BEGINNING)
        found: list[LogEntry] = []
        while page := news.of(await operator.logs(sandbox.id, limit=_PAGE, since=news.since)):
            found += page
        return found


async def follow_logs(operator: Operator, sandbox: Sandbox, lines: int, wanted: Wanted) -> AsyncIterator[LogEntry]:
    """The last ``lines`` of what was written so far; then what is written, as it comes, until the sandbox is gone.

    Logs outlive their sandbox, so it is asked for itself when they bring nothing new; then they are read once more.
    """
    choice = _Choice(wanted)
    past = await _all_logs(operator, sandbox)
    chosen = choice.of(past)
    for entry in chosen[-lines:] if lines else ():
        yield entry
    news = _News(past[-1].time if past else _THE_BEGINNING)
    news.of(past)
    ended = False
    while True:
        try:
            with about(sandbox):
                page = news.of(await operator.logs(sandbox.id, limit=_PAGE, since=news.since))
        except DiagnosticsError as problem:
            if problem.diagnostics[0].code == SANDBOX_NOT_FOUND:
                return
            raise
        for entry in choice.of(page):
            yield entry
        if page:
            continue
        if ended:
            return
        ended = await _is_gone(operator, sandbox)
        if not ended:
            await asyncio.sleep(_BETWEEN_LOOKS)


async def _is_gone(operator: Operator, sandbox: Sandbox) -> bool:
    try:
        with about(sandbox):
            await operator.look(sandbox.id)
    except DiagnosticsError as problem:
        if problem.diagnostics[0].code == SANDBOX_NOT_FOUND:
            return True
        raise
    return False


class _News:
    """Tells entries apart that were seen: a look from a moment on shows those of that moment again."""

    def __init__(self, since: datetime) -> None:
        self.since = since
        self._seen: set[tuple[datetime, str]] = set()

    def of(self, entries: Sequence[LogEntry]) -> list[LogEntry]:
        fresh = [entry for entry in entries if (entry.time, entry.message) not in self._seen]
        if entries:
            self.since = max(self.since, entries[-1].time)
        edge = self.since - timedelta(milliseconds=1)
        self._seen = {item for item in self._seen if item[0] >= edge}
        self._seen |= {(entry.time, entry.message) for entry in entries if entry.time >= edge}
        return fresh


class _Choice:
    """Picks what is wanted from lines that are handed to it in the order of their times."""

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._own: dict[str, bool] = {}

    def of(self, entries: Iterable[LogEntry]) -> list[LogEntry]:
        entries = list(entries)
        for entry in entries:
            # Lines that come before the one that tells whose work they are about.
            if entry.own is not None:
                self._own.setdefault(entry.operation, entry.own)
        return [entry for entry in entries if self._is_wanted(entry)]

    def _is_wanted(self, entry: LogEntry) -> bool:
        # E2B counts operations anew when a sandbox boots, so the latest line that tells is the right one.
        if entry.own is not None:
            self._own[entry.operation] = entry.own
        is_own = self._own.get(entry.operation, False) if entry.own is None else entry.own
        return (self._wanted.own or not is_own) and _severity(entry.level) >= _severity(self._wanted.level or "debug")


def _severity(level: str) -> int:
    return _LEVELS.index(level) if level in _LEVELS else _LEVELS.index("info")
