"""One daemon per home: the lock it holds while it lives, and the note of who and where it is."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from nexus.local.documents import read_document, write_document
from nexus.local.identity import code_mark, nexus_version
from nexus.local.settings import Settings


class HomeLockedError(Exception):
    """Another daemon serves this home."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Presence:
    """A daemon that is up.

    ``birth`` is its start in the kernel's ticks: a pid alone may be another's by now. ``version`` and ``code`` say what
    it runs (see :mod:`nexus.local.identity`).
    """

    pid: int
    birth: str
    version: str
    code: str
    home: Path

    @classmethod
    def of_this_process(cls, settings: Settings) -> Presence:
        pid = os.getpid()
        return cls(pid=pid, birth=birth_of(pid) or "", version=nexus_version(), code=code_mark(), home=settings.home)

    def runs_this_code(self) -> bool:
        """Whether it is the same nexus as this process."""
        return (self.version, self.code) == (nexus_version(), code_mark())

    def is_alive(self) -> bool:
        return birth_of(self.pid) == self.birth


@contextlib.contextmanager
def hold_home(home: Path) -> Iterator[None]:
    """Be the one daemon of ``home`` while the block runs. Raises HomeLockedError."""
    with _lock_file(home, "daemon.lock") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HomeLockedError(f"an engine already runs for {home}: {_holder(handle)}") from None
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"process {os.getpid()}, since {datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC".encode(), 0)
        _note(home).unlink(missing_ok=True)
        yield
        _note(home).unlink(missing_ok=True)


def _holder(handle: int) -> str:
    """What the one who holds the lock has written of itself."""
    return os.pread(handle, 200, 0).decode(errors="replace") or "it is just starting"


def is_held(home: Path) -> bool:
    """Whether a daemon, ready or not, has the home now."""
    if not (home / "daemon.lock").exists():
        return False
    with _lock_file(home, "daemon.lock") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


@contextlib.contextmanager
def one_at_a_time(home: Path) -> Iterator[None]:
    """Start or stop the daemon of ``home`` while nobody else does; waits for them."""
    with _lock_file(home, "start.lock") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_presence(presence: Presence) -> None:
    """Say that the daemon is ready."""
    known = {"pid": presence.pid, "birth": presence.birth, "version": presence.version, "code": presence.code}
    write_document(_note(presence.home), known)


def read_presence(home: Path) -> Presence | None:
    """The daemon that is up and ready, or None."""
    try:
        document = read_document(_note(home))
    except ValueError:
        return None
    match document:
        case {"pid": int(pid), "birth": str(birth), "version": str(version), **more}:
            # The code was not noted by the first versions; they are others than this one in any case.
            code = str(more.get("code", ""))
            presence = Presence(pid=pid, birth=birth, version=version, code=code, home=home)
            return presence if presence.is_alive() else None
        case _:
            return None


def birth_of(pid: int) -> str | None:
    """When the process started, in the kernel's ticks since boot; None when there is none."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The command's name is in parentheses and may hold anything, so count from behind it.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def _note(home: Path) -> Path:
    return home / "daemon.json"


@contextlib.contextmanager
def _lock_file(home: Path, name: str) -> Iterator[int]:
    handle = os.open(home / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield handle
    finally:
        os.close(handle)
