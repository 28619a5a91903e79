"""The machine's recent log: starts and ends of processes and what they print, kept in memory only.

The control plane reads it over the machine's socket to answer for a sandbox's logs. It is bounded in entries and in
the length of each entry, and never holds the value of an environment variable.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["debug", "info", "warn", "error"]

_MAX_TEXT = 1024


@dataclass(frozen=True, slots=True)
class LogEvent:
    """``time`` is in seconds since the epoch."""

    time: float
    level: Level
    message: str
    fields: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        return {"timestamp": self.time, "level": self.level, "message": self.message, "fields": dict(self.fields)}


class Logbook:
    """A ring of the last ``capacity`` events."""

    def __init__(self, capacity: int = 2000) -> None:
        self._events: deque[LogEvent] = deque(maxlen=capacity)

    def record(self, level: Level, message: str, **fields: object) -> None:
        texts = {name: str(value)[:_MAX_TEXT] for name, value in fields.items()}
        self._events.append(LogEvent(time.time(), level, message[:_MAX_TEXT], texts))

    def record_output(self, level: Level, data: bytes, **fields: object) -> None:
        """One event for one piece of output; only its beginning is kept."""
        self.record(level, data[:_MAX_TEXT].decode(errors="replace").rstrip("\n"), **fields)

    def events(self) -> list[LogEvent]:
        """What is kept, oldest first."""
        return list(self._events)
