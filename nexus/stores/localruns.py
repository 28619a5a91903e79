"""Records of runs as files: ``runs/<id>/run.jsonl`` is what happened, ``<operation>.log`` beside it what each wrote.

Of a long log the beginning is in ``.log`` and the end in ``.end`` and ``.end.old``, which take turns. A run that is
killed leaves all that it had noted by then.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from nexus.model.runs import Run, RunEnd, RunEntry, RunHead, RunSummary
from nexus.stores.failures import explained
from nexus.stores.files import FILE_MODE, Files
from nexus.stores.runfile import entry_line, head_line, parse, parse_summary

KEPT_RUNS: Final = 50
KEPT_BYTES: Final = 256 * 1024 * 1024
"""So many runs of an environment are kept, and so much of them; the newest one always."""

_PART: Final = 256 * 1024
"""Bytes that the beginning of a log may have; the end has as many, or up to twice."""
_LOGS: Final = 64 * 1024 * 1024
"""Bytes that all logs of one run may have: of operations after that, only the last lines are in the record."""
_GAP: Final = b"[...]\n"
"""Stands where lines are missing: before every end but the first, and only counts once that is the old one."""
_RECORD: Final = "run.jsonl"
_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]*")
_LAST_LINE: Final = 4096


class LocalRuns:
    """See :class:`nexus.stores.base.RunStore`. ``prepare`` makes the folder above."""

    def __init__(self, folder: Path, files: Files, prepare: Callable[[], None]) -> None:
        self._folder = folder
        self._files = files
        self._prepare = prepare

    async def begin(self, head: RunHead) -> LocalRunLog:
        place = self._folder / head.id
        with explained("record the run", place):
            self._prepare()
            self._make_room()
            self._files.make_folder(place)
            self._files.write(place / _RECORD, head_line(head))
            return LocalRunLog(place, self._files)

    async def list(self) -> Sequence[RunSummary]:
        found = [summary for name in self._names() if (summary := _summary(self._folder / name)) is not None]
        return sorted(found, key=lambda item: (item.head.started_at, item.head.id), reverse=True)

    async def read(self, run_id: str) -> Run | None:
        if not _ID.fullmatch(run_id):
            return None
        with explained("read the run", self._folder / run_id):
            content = self._files.read(self._folder / run_id / _RECORD)
        return None if content is None else parse(content)

    async def log(self, run_id: str, operation_id: str) -> str:
        if not (_ID.fullmatch(run_id) and _ID.fullmatch(operation_id)):
            return ""
        names = _Names(self._folder / run_id, operation_id)
        with explained("read the log", names.beginning):
            beginning, *ends = (self._files.read(path) or b"" for path in names.in_order)
        return _text(beginning + ends[0] + ends[1].removeprefix(_GAP))

    def _names(self) -> Sequence[str]:
        """Newest last: an id begins with the time."""
        try:
            return sorted(path.name for path in self._folder.iterdir() if _ID.fullmatch(path.name))
        except OSError:
            return []

    def _make_room(self) -> None:
        names = self._names()
        sizes = {name: _size(self._folder / name) for name in names}
        for position, name in enumerate(names):
            left = names[position:]
            if len(left) < KEPT_RUNS and sum(sizes[item] for item in left) <= KEPT_BYTES:
                return
            self._files.remove_folder(self._folder / name)


class LocalRunLog:
    """See :class:`nexus.stores.base.RunLog`."""

    def __init__(self, folder: Path, files: Files) -> None:
        self._folder = folder
        self._files = files
        self._record: int | None = files.open_append(folder / _RECORD)
        self._logs: dict[str, _LogFile] = {}
        self._bytes = 0

    def note(self, entry: RunEntry) -> None:
        with explained("record the run", self._folder):
            if self._record is not None:
                self._files.note(self._record, entry_line(entry))
        if not isinstance(entry, RunEnd) and entry.outcome is not None:
            self._close_log(entry.id)

    def write(self, operation_id: str, text: str) -> None:
        log = self._logs.get(operation_id)
        with explained("record what was written", self._folder):
            if log is None:
                if self._bytes >= _LOGS:
                    return
                log = self._logs[operation_id] = _LogFile(_Names(self._folder, operation_id), self._files)
            self._bytes += log.append(text.encode(errors="replace") + b"\n")

    def close(self) -> None:
        for operation_id in list(self._logs):
            self._close_log(operation_id)
        record, self._record = self._record, None
        if record is not None:
            with suppress(OSError):
                os.fsync(record)
            os.close(record)

    def _close_log(self, operation_id: str) -> None:
        log = self._logs.pop(operation_id, None)
        if log is not None:
            log.close()


class _Names:
    """The files of one log."""

    def __init__(self, folder: Path, operation_id: str) -> None:
        self.beginning = folder / f"{operation_id}.log"
        self.end = folder / f"{operation_id}.end"
        self.old_end = folder / f"{operation_id}.end.old"

    @property
    def in_order(self) -> tuple[Path, Path, Path]:
        return self.beginning, self.old_end, self.end


class _LogFile:
    """The log of one operation while it is written."""

    def __init__(self, names: _Names, files: Files) -> None:
        self._names = names
        self._files = files
        self._turns = 0
        self._room = _PART
        self._descriptor = _new(names.beginning)

    def append(self, content: bytes) -> int:
        """How many bytes more the files have by that."""
        if self._room <= 0:
            self._turn()
        self._room -= len(content)
        self._files.note(self._descriptor, content)
        return len(content) if self._turns <= 2 else 0

    def close(self) -> None:
        os.close(self._descriptor)

    def _turn(self) -> None:
        os.close(self._descriptor)
        if self._turns:
            self._names.end.replace(self._names.old_end)
        self._turns += 1
        self._room = _PART
        self._descriptor = _new(self._names.end)
        if self._turns > 1:
            self._files.note(self._descriptor, _GAP)


def _new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, FILE_MODE)


def _summary(folder: Path) -> RunSummary | None:
    try:
        with (folder / _RECORD).open("rb") as file:
            first = file.readline()
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - _LAST_LINE, 0))
            rest = file.read().splitlines()
    except OSError:
        return None
    return parse_summary(first, rest[-1] if rest else b"")


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0


def _text(content: bytes) -> str:
    return content.decode(errors="replace")
