"""What happened to a sandbox, as its log shows it: lifecycle events of the engine joined with envd's own entries."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nexus.local.errors import InvalidRequestError

MAX_ENTRIES = 1000
_LEVELS = ("debug", "info", "warn", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class LogEntry:
    at: datetime
    message: str
    level: str = "info"
    fields: Mapping[str, str] = field(default_factory=dict)


class Logbook:
    """The latest lifecycle entries of one sandbox, in memory."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=MAX_ENTRIES)

    def note(self, at: datetime, message: str, *, level: str = "info", **fields: str) -> None:
        self._entries.append(LogEntry(at=at, message=message, level=level, fields=fields))

    def entries(self) -> list[LogEntry]:
        return list(self._entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """``start`` is inclusive and where reading begins, in the direction asked for. ``level`` is the lowest shown."""

    start: datetime | None = None
    limit: int = MAX_ENTRIES
    newest_first: bool = False
    level: str | None = None
    search: str | None = None


def select(entries: Iterable[LogEntry], query: LogQuery) -> list[LogEntry]:
    """The entries a log request shows, in the order it asks for."""
    ordered = sorted(entries, key=lambda entry: entry.at, reverse=query.newest_first)
    return [entry for entry in ordered if _shown(entry, query)][: query.limit]


def check_level(level: str | None) -> str | None:
    if level is not None and level not in _LEVELS:
        raise InvalidRequestError(f"level must be one of {', '.join(_LEVELS)}")
    return level


def severity(level: str) -> int:
    """Position among the levels; an unknown one counts as ``info``."""
    return _LEVELS.index(level) if level in _LEVELS else 1


def _shown(entry: LogEntry, query: LogQuery) -> bool:
    if query.start is not None and (entry.at > query.start if query.newest_first else entry.at < query.start):
        return False
    if query.level is not None and severity(entry.level) < severity(query.level):
        return False
    return query.search is None or query.search in entry.message
