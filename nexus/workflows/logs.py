"""The use case `logs`: what E2B keeps of what a sandbox said, and what it says from now on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from nexus.model.diagnostics import DiagnosticsError
from nexus.providers.failures import SANDBOX_NOT_FOUND
from nexus.providers.operating import LogEntry, Operator
from nexus.workflows.operating import Sandbox, about

_PAGE: Final = 1000
_BETWEEN_LOOKS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Logs:
    """The newest ``entries``, the oldest first; the rest is about all that are kept."""

    entries: Sequence[LogEntry]
    total: int
    size: int
    oldest: datetime | None


async def read_logs(operator: Operator, sandbox: Sandbox, lines: int, level: str | None) -> Logs:
    """The last ``lines`` entries at or above ``level``, and how much there is of them."""
    with about(sandbox):
        entries = await _all_logs(operator, sandbox, level)
    return Logs(
        entries=entries[-lines:],
        total=len(entries),
        size=sum(len(entry.message.encode()) + 1 for entry in entries),
        oldest=entries[0].time if entries else None,
    )


async def _all_logs(operator: Operator, sandbox: Sandbox, level: str | None) -> list[LogEntry]:
    first = await operator.logs(sandbox.id, limit=_PAGE, level=level)
    if len(first) < _PAGE:
        return list(first)
    news = _News(datetime.fromtimestamp(0, UTC))
    found: list[LogEntry] = []
    while page := news.of(await operator.logs(sandbox.id, limit=_PAGE, level=level, since=news.since)):
        found += page
    return found


async def follow_logs(
    operator: Operator,
    sandbox: Sandbox,
    level: str | None,
    shown: Sequence[LogEntry],
    now: datetime,
) -> AsyncIterator[LogEntry]:
    """What is written after ``shown``, as it comes, until the sandbox is gone.

    Logs outlive their sandbox, so it is asked for itself when they bring nothing new; then they are read once more.
    """
    news = _News(shown[-1].time if shown else now)
    news.of(shown)
    ended = False
    while True:
        try:
            with about(sandbox):
                page = news.of(await operator.logs(sandbox.id, limit=_PAGE, level=level, since=news.since))
        except DiagnosticsError as problem:
            if problem.diagnostics[0].code == SANDBOX_NOT_FOUND:
                return
            raise
        for entry in page:
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
