"""The store that everyone has: files in the project's ``.nexus/<environment>/``.

``state.json`` is the state, ``state.json.backup`` the one before it, ``journal.jsonl`` what has happened since, and
``lock`` the lock; ``journal.jsonl.aside`` is a journal that could not be used. The folder is the user's alone, and
keeps itself out of git. ``runs/`` tells what was done when. Beside the environments' folders lies ``durations.json``:
what operations took.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import State
from nexus.stores import durations
from nexus.stores.appending import Appender
from nexus.stores.base import Backend, Header, JournalContents, StateVersion
from nexus.stores.checks import Version, check_start, check_write
from nexus.stores.durations import Durations
from nexus.stores.entries import Entry
from nexus.stores.failures import explained, is_about
from nexus.stores.files import Files
from nexus.stores.journalfile import header_line, parse
from nexus.stores.localruns import LocalRuns
from nexus.stores.locking import LocalLock
from nexus.stores.statefile import decode, encode, read_version

FOLDER: Final = ".nexus"


def local_backend(project: Path, environment: str, files: Files | None = None) -> Backend:
    """The stores of one environment of the project in this folder. Touches nothing until it is used."""
    if not environment or environment.startswith(".") or "/" in environment or "\0" in environment:
        raise DiagnosticsError(error("bad-environment", "This can't be the name of an environment", detail=environment))
    place = _Place(project / FOLDER, project / FOLDER / environment, files or Files())
    lock = LocalLock(place.folder / "lock", place.prepare)
    return Backend(
        LocalStateStore(place, lock),
        LocalJournal(place, lock),
        lock,
        LocalDurations(place),
        LocalRuns(place.folder / "runs", place.files, place.prepare),
        LocalVersions(place),
    )


class _Place:
    """The folder of one environment, and how files in it are used."""

    def __init__(self, root: Path, folder: Path, files: Files) -> None:
        self.root = root
        self.folder = folder
        self.files = files

    def prepare(self) -> None:
        """Make what is missing."""
        self.files.make_folder(self.folder)
        ignore = self.root / ".gitignore"
        if not ignore.exists():
            self.files.replace_unlocked(ignore, b"*\n")


class LocalStateStore:
    """``lock`` is that of the same environment: nothing is written by who has lost it."""

    def __init__(self, place: _Place, lock: LocalLock) -> None:
        self._place = place
        self._lock = lock
        self._path = place.folder / "state.json"
        self._backup = place.folder / "state.json.backup"

    async def read(self) -> State | None:
        with explained("read the state", self._path):
            content = self._place.files.read(self._path)
        return None if content is None else decode(content, str(self._path))

    async def write(self, state: State, expected_serial: int | None) -> None:
        content = encode(state)
        with self._lock.undisturbed():
            if expected_serial is not None:
                check_write(self._version(), Version(state.lineage, expected_serial))
            with explained("write the state", self._path):
                self._place.prepare()
                self._place.files.copy(self._path, self._backup)
                self._place.files.replace(self._path, content)

    async def fence(self) -> None:
        """There is nothing to do: the lock is not taken from anybody in the middle of a write."""

    def _version(self) -> Version:
        with explained("read the state", self._path):
            content = self._place.files.read(self._path)
        return Version() if content is None else read_version(content, str(self._path))


class LocalJournal:
    """``lock`` as in :class:`LocalStateStore`."""

    def __init__(self, place: _Place, lock: LocalLock) -> None:
        self._place = place
        self._lock = lock
        self._path = place.folder / "journal.jsonl"
        self._appender: Appender | None = None
        self._descriptor = -1

    async def read(self) -> JournalContents | None:
        with explained("read the journal", self._path):
            content = self._place.files.read(self._path)
        return None if content is None else parse(content, str(self._path))

    async def start(self, header: Header) -> None:
        await self._close()
        check_start(await self.read(), header)
        with self._lock.undisturbed(), explained("begin the journal", self._path):
            self._place.prepare()
            self._place.files.replace(self._path, header_line(header))
            self._descriptor = self._place.files.open_append(self._path)
            self._appender = Appender(self._write)

    async def append(self, entry: Entry) -> None:
        if self._appender is None:
            raise RuntimeError("the journal was not started")
        await self._appender.append(entry)

    async def clear(self) -> None:
        await self._close()
        try:
            with self._lock.undisturbed(), explained("clear the journal", self._path):
                if self._path.exists():
                    self._place.files.remove(self._path)
        except DiagnosticsError as problem:
            if not is_about(problem, "lock-lost"):
                raise

    async def set_aside(self) -> str | None:
        await self._close()
        aside = self._path.with_name(f"{self._path.name}.aside")
        with self._lock.undisturbed(), explained("set the journal aside", self._path):
            if not self._path.exists():
                return None
            self._place.files.rename(self._path, aside)
            self._place.files.sync_folder(aside.parent)
        return str(aside)

    async def fence(self) -> None:
        """There is nothing to do, as with the state."""

    def _write(self, lines: bytes) -> None:
        with self._lock.undisturbed(), explained("write the journal", self._path):
            self._place.files.append(self._descriptor, lines)

    async def _close(self) -> None:
        appender, self._appender = self._appender, None
        if appender is not None:
            await appender.close()
            with suppress(OSError):
                os.close(self._descriptor)


class LocalVersions:
    """See :class:`nexus.stores.base.VersionStore`. Of those before it, only the last one is kept: the backup."""

    def __init__(self, place: _Place) -> None:
        self._place = place
        self._path = place.folder / "state.json.backup"

    async def list(self) -> Sequence[StateVersion]:
        content = self._content()
        if content is None:
            return []
        version = read_version(content, str(self._path))
        return [StateVersion(version.serial, version.lineage)]

    async def read(self, version: StateVersion) -> State | None:
        content = self._content()
        if content is None or version not in await self.list():
            return None
        return decode(content, str(self._path))

    async def clear(self) -> None:
        with explained("remove the backup", self._path):
            if self._path.exists():
                self._place.files.remove(self._path)

    def _content(self) -> bytes | None:
        with explained("read the state", self._path):
            return self._place.files.read(self._path)


class LocalDurations:
    def __init__(self, place: _Place) -> None:
        self._place = place
        self._path = place.root / "durations.json"

    async def read(self) -> Durations:
        try:
            content = self._place.files.read(self._path)
        except OSError:
            return Durations()
        return Durations() if content is None else durations.decode(content)

    async def write(self, learnt: Durations) -> None:
        with explained("write what operations took", self._path):
            self._place.prepare()
            self._place.files.replace_unlocked(self._path, durations.encode(learnt))
