"""The machine's recent log: starts and ends of processes and what they print, kept in memory only.

The control plane reads it over the machine's socket to answer for a sandbox's logs. It is bounded in entries and in
the length of each entry, and never holds the value of an environment variable.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Level = Literal["debug", "info", "warn", "error"]

_MAX_TEXT = 1024
_LONGEST_WAIT = 2.0
"""Seconds, as in E2B's own envd."""


@dataclass(frozen=True, slots=True)
class LogEvent:
    """``time`` is in seconds since the epoch."""

    time: float
    level: Level
    message: str
    fields: Mapping[str, str]

    def to_json(self) -> dict[str, object]:
        return {"timestamp": self.time, "level": self.level, "message": self.message, "fields": dict(self.fields)}


class OutputLog:
    """What one process writes to one stream, entered as whole lines: the pieces that a pipe brings are cut anywhere.

    A line that is not ended yet is entered when it becomes too long, after a while, or when it is flushed.
    """

    def __init__(self, logbook: Logbook, level: Level, **fields: object) -> None:
        self._logbook = logbook
        self._level: Level = level
        self._fields = fields
        self._begun = bytearray()
        self._flushing: asyncio.TimerHandle | None = None

    def write(self, data: bytes) -> None:
        self._begun += data
        end = len(self._begun) if len(self._begun) >= _MAX_TEXT else self._begun.rfind(b"\n") + 1
        self._enter(end)
        if self._begun and self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_later(_LONGEST_WAIT, self.flush)

    def flush(self) -> None:
        self._enter(len(self._begun))

    def _enter(self, end: int) -> None:
        if end:
            self._logbook.record_output(self._level, bytes(self._begun[:end]), **self._fields)
            del self._begun[:end]
        if not self._begun and self._flushing is not None:
            self._flushing.cancel()
            self._flushing = None


class Logbook:
    """A ring of the last ``capacity`` events."""

    def __init__(self, capacity: int = 2000) -> None:
        self._events: deque[LogEvent] = deque(maxlen=capacity)

    def record(self, level: Level, message: str, **fields: object) -> None:
        texts = {name: str(value)[:_MAX_TEXT] for name, value in fields.items()}
        self._events.append(LogEvent(time.time(), level, message[:_MAX_TEXT], texts))

    def record_output(self, level: Level, data: bytes, **fields: object) -> None:
        """One event for some output; only its beginning is kept."""
        self.record(level, data[:_MAX_TEXT].decode(errors="replace").rstrip("\n"), **fields)

    def events(self) -> list[LogEvent]:
        """What is kept, oldest first."""
        return list(self._events)
