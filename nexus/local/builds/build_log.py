"""The log of one build: lines in E2B's form, readable while the build runs and after a restart."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO

from nexus.local.clock import Clock

_MAX_LINE = 8192
_MAX_ENTRIES = 100_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildLogEntry:
    at: datetime
    message: str
    level: str = "info"
    step: str | None = None


class BuildLog:
    """Entries in memory, and line by line in a file. Close it when the build is over."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._clock = clock
        self._path = path
        self._file: IO[str] | None = None
        self._entries: list[BuildLogEntry] = []

    @property
    def entries(self) -> Sequence[BuildLogEntry]:
        return self._entries

    def add(self, message: str, *, level: str = "info", step: str | None = None) -> None:
        if len(self._entries) >= _MAX_ENTRIES:
            return
        if len(self._entries) == _MAX_ENTRIES - 1:
            message = "further output is not kept"
        entry = BuildLogEntry(at=self._clock.now(), message=message[:_MAX_LINE], level=level, step=step)
        self._entries.append(entry)
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
        self._file.write(json.dumps(_encode(entry)) + "\n")

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def read_log(path: Path) -> list[BuildLogEntry]:
    """The entries of an earlier daemon's build; a line cut off by a crash ends them."""
    entries: list[BuildLogEntry] = []
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return entries
    for line in text.splitlines():
        try:
            entries.append(_decode(json.loads(line)))
        except (ValueError, KeyError, TypeError):
            _log.warning("%s has a damaged line", path)
            break
    return entries


class Lines:
    """Cuts a stream of bytes into lines of text."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[str]:
        *whole, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > _MAX_LINE:
            whole, self._rest = [*whole, self._rest], b""
        return [_text(line) for line in whole]

    def end(self) -> list[str]:
        rest, self._rest = self._rest, b""
        return [_text(rest)] if rest else []


def _text(line: bytes) -> str:
    return line.decode(errors="replace").rstrip("\r")


def _encode(entry: BuildLogEntry) -> dict[str, object]:
    return {"at": entry.at.isoformat(), "message": entry.message, "level": entry.level, "step": entry.step}


def _decode(document: dict[str, object]) -> BuildLogEntry:
    step = document["step"]
    return BuildLogEntry(
        at=datetime.fromisoformat(str(document["at"])),
        message=str(document["message"]),
        level=str(document["level"]),
        step=None if step is None else str(step),
    )
