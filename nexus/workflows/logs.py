"""The use case `logs`: what a sandbox said, and what it says from now on.

That is what E2B keeps of it, and what its start_command prints, which lies in a file of the sandbox. All of E2B's lines
are read, whatever is wanted of them: whose work a line is about, another line tells.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.providers.base import ProviderError
from nexus.providers.failures import SANDBOX_NOT_FOUND
from nexus.providers.operating import LogEntry, Operator, StartOutput
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
    printed = await _start_output(operator, sandbox, lines, wanted)
    shown = _in_order(entries, printed)[-lines:]
    return Logs(
        entries=shown,
        total=len(entries) + (printed.total if printed else 0),
        size=sum(len(entry.message.encode()) + 1 for entry in entries) + (printed.size if printed else 0),
        oldest=min((found[0].time for found in (entries, shown) if found), default=None),
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
    printed = await _start_output(operator, sandbox, lines, wanted)
    chosen = _in_order(choice.of(past), printed)
    for entry in chosen[-lines:] if lines else ():
        yield entry
    news = _News(past[-1].time if past else _THE_BEGINNING)
    news.of(past)
    async with _start_output_to_come(operator, sandbox, printed, wanted) as coming:
        async for entry in _merged(operator, sandbox, news, choice, coming):
            yield entry


async def _merged(
    operator: Operator, sandbox: Sandbox, news: _News, choice: _Choice, coming: deque[LogEntry]
) -> AsyncIterator[LogEntry]:
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
        while coming:
            yield coming.popleft()
        if page:
            continue
        if ended:
            return
        ended = await _is_gone(operator, sandbox)
        if not ended:
            await asyncio.sleep(_BETWEEN_LOOKS)


# ---- what start_command prints


async def _start_output(operator: Operator, sandbox: Sandbox, lines: int, wanted: Wanted) -> StartOutput | None:
    """The file has no levels and times: its lines are ordinary ones, of when it was written last.

    A sandbox that is gone, or does not answer, has a log all the same.
    """
    if not _takes_ordinary_lines(wanted):
        return None
    try:
        return await operator.start_output(sandbox.id, lines)
    except ProviderError:
        return None


@asynccontextmanager
async def _start_output_to_come(
    operator: Operator, sandbox: Sandbox, printed: StartOutput | None, wanted: Wanted
) -> AsyncIterator[deque[LogEntry]]:
    coming: deque[LogEntry] = deque()
    if not _takes_ordinary_lines(wanted):
        yield coming
        return
    seen = 0 if printed is None else printed.total
    following = asyncio.create_task(_follow_start_output(operator, sandbox, seen, coming.append))
    try:
        yield coming
    finally:
        following.cancel()
        await asyncio.wait({following})


async def _follow_start_output(
    operator: Operator, sandbox: Sandbox, seen: int, on_entry: Callable[[LogEntry], None]
) -> None:
    """Goes on with a sandbox that is paused, and resumed later."""

    def on_line(number: int, line: str) -> None:
        nonlocal seen
        seen = number
        on_entry(_printed_line(line, datetime.now(UTC)))

    while True:
        with suppress(ProviderError):
            await operator.follow_start_output(sandbox.id, seen, on_line)
        await asyncio.sleep(_BETWEEN_LOOKS)


def _takes_ordinary_lines(wanted: Wanted) -> bool:
    return _severity("info") >= _severity(wanted.level or "debug")


def _in_order(entries: Sequence[LogEntry], printed: StartOutput | None) -> list[LogEntry]:
    lines = [_printed_line(line, printed.written_at) for line in printed.lines] if printed is not None else []
    return sorted([*entries, *lines], key=lambda entry: entry.time)


def _printed_line(line: str, time: datetime) -> LogEntry:
    return LogEntry(time=time, level="info", message=line, fields={"source": "start"})


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
