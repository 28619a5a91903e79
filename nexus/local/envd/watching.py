"""Watching directories: inotify's events turned into the five kinds of change that E2B's clients know.

A watcher lives on the event loop, without threads. A recursive one follows new directories; what was made in them
before their watch was in place is reported as created.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto

from nexus.local.envd.inotify import Inotify, Mask, RawEvent

_MASK = (
    Mask.CREATE
    | Mask.MODIFY
    | Mask.ATTRIB
    | Mask.DELETE
    | Mask.MOVED_FROM
    | Mask.MOVED_TO
    | Mask.DELETE_SELF
    | Mask.MOVE_SELF
    | Mask.ONLYDIR
)
_KEPT = 65_536
_NETWORK_TYPES = ("nfs", "cifs", "smb", "fuse")


class ChangeKind(Enum):
    CREATE = auto()
    WRITE = auto()
    REMOVE = auto()
    RENAME = auto()
    CHMOD = auto()


@dataclass(frozen=True, slots=True)
class Change:
    """``name`` is relative to the watched directory, ``path`` absolute."""

    kind: ChangeKind
    name: str
    path: str


class Watcher:
    """Collects the changes below one directory until they are fetched; close it when done."""

    def __init__(self, root: str, *, recursive: bool) -> None:
        self._root = root
        self._recursive = recursive
        self._changes: deque[Change] = deque(maxlen=_KEPT)
        self._arrived = asyncio.Event()
        self._directories: dict[int, str] = {}
        self._reported: set[str] = set()
        self._leaving: dict[int, str] = {}
        self._closed = False
        self._inotify = Inotify()
        try:
            self._follow(root)
        except OSError:
            self._inotify.close()
            raise
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._inotify.descriptor, self._read)

    async def next(self) -> list[Change]:
        """All changes not fetched yet; waits for one. Safe to cancel."""
        while not self._changes:
            self._arrived.clear()
            await self._arrived.wait()
        return self.take()

    def take(self) -> list[Change]:
        """All changes not fetched yet, without waiting."""
        self._read()
        changes = list(self._changes)
        self._changes.clear()
        return changes

    def close(self) -> None:
        """Stop watching. Idempotent."""
        if not self._closed:
            self._closed = True
            self._loop.remove_reader(self._inotify.descriptor)
            self._inotify.close()

    def _follow(self, directory: str) -> None:
        """Watch ``directory`` and, when recursive, everything below it. Raises OSError for ``directory`` itself."""
        self._directories[self._inotify.add(directory, _MASK)] = directory
        if not self._recursive:
            return
        for child in _subdirectories(directory):
            try:
                self._follow(child)
            except OSError:
                continue  # removed while we looked

    def _read(self) -> None:
        if self._closed:
            return
        for event in self._inotify.read():
            self._handle(event)
        for path in self._leaving.values():
            self._forget(path)
        self._leaving.clear()
        if self._changes:
            self._arrived.set()

    def _handle(self, event: RawEvent) -> None:
        directory = self._directories.get(event.watch)
        if directory is None:
            return
        if event.mask & Mask.IGNORED:
            self._directories.pop(event.watch, None)
            return
        if not event.name:
            # A directory below the root is reported by its parent's watch.
            if directory == self._root:
                self._report(event.mask, self._root)
            return
        path = os.path.join(directory, event.name)
        if event.mask & Mask.CREATE and path in self._reported:
            self._reported.discard(path)
            return
        self._report(event.mask, path)
        if self._recursive and event.mask & Mask.ISDIR:
            self._directory_changed(event, path)

    def _directory_changed(self, event: RawEvent, path: str) -> None:
        if event.mask & Mask.MOVED_FROM:
            # Its watches stay with it; whether it is still of interest, its other half tells.
            self._leaving[event.cookie] = path
        elif event.mask & Mask.MOVED_TO and (before := self._leaving.pop(event.cookie, None)) is not None:
            self._rename(before, path)
        elif event.mask & (Mask.CREATE | Mask.MOVED_TO):
            try:
                self._follow(path)
            except OSError:
                return  # removed already
            if event.mask & Mask.CREATE:
                self._report_early(path)

    def _report_early(self, directory: str) -> None:
        """Report what was in a new directory before its watch; its own event, if there is one, is then skipped."""
        for child in _children(directory):
            self._reported.add(child)
            self._report(Mask.CREATE, child)
            if os.path.isdir(child) and not os.path.islink(child):
                self._report_early(child)

    def _rename(self, before: str, path: str) -> None:
        for watch in self._watches_below(before):
            self._directories[watch] = path + self._directories[watch].removeprefix(before)

    def _forget(self, path: str) -> None:
        for watch in self._watches_below(path):
            self._inotify.remove(watch)
            del self._directories[watch]

    def _watches_below(self, path: str) -> list[int]:
        return [
            watch
            for watch, directory in self._directories.items()
            if directory == path or directory.startswith(path + "/")
        ]

    def _report(self, mask: int, path: str) -> None:
        kind = _kind(mask)
        if kind is not None:
            self._changes.append(Change(kind, os.path.relpath(path, self._root), path))


class WatcherTable:
    """Watchers that clients poll, by id."""

    def __init__(self) -> None:
        self._watchers: dict[str, tuple[Watcher, bool]] = {}

    def add(self, watcher: Watcher, *, include_entry: bool) -> str:
        identity = "w" + secrets.token_hex(8)
        self._watchers[identity] = (watcher, include_entry)
        return identity

    def get(self, identity: str) -> tuple[Watcher, bool] | None:
        return self._watchers.get(identity)

    def remove(self, identity: str) -> bool:
        """Stop a watcher; False when there is none of that id."""
        found = self._watchers.pop(identity, None)
        if found is None:
            return False
        found[0].close()
        return True


def is_network_mount(path: str) -> bool:
    """Whether ``path`` lies on a file system whose changes the kernel may not see."""
    real = os.path.realpath(path)
    longest, network = 0, False
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as mounts:
        for line in mounts:
            before, _, after = line.partition(" - ")
            point = before.split()[4].replace("\\040", " ")
            inside = real == point or real.startswith(point.rstrip("/") + "/")
            if inside and len(point) >= longest:
                longest, network = len(point), after.startswith(_NETWORK_TYPES)
    return network


def _kind(mask: int) -> ChangeKind | None:
    if mask & (Mask.CREATE | Mask.MOVED_TO):
        return ChangeKind.CREATE
    if mask & Mask.MODIFY:
        return ChangeKind.WRITE
    if mask & (Mask.DELETE | Mask.DELETE_SELF):
        return ChangeKind.REMOVE
    if mask & (Mask.MOVED_FROM | Mask.MOVE_SELF):
        return ChangeKind.RENAME
    return ChangeKind.CHMOD if mask & Mask.ATTRIB else None


def _children(directory: str) -> list[str]:
    try:
        return sorted(os.path.join(directory, name) for name in os.listdir(directory))
    except OSError:
        return []


def _subdirectories(directory: str) -> Iterator[str]:
    return (child for child in _children(directory) if os.path.isdir(child) and not os.path.islink(child))
