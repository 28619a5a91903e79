"""Where the state was when it was last used from here: so that one that stayed behind is not forgotten.

A file beside what is kept locally, written once the lock is taken. Without it, what lies there locally counts.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.schema.state_place import StatePlace, parse_state_place, state_place_to_json
from nexus.stores.base import Lock, LockInfo
from nexus.stores.failures import explained
from nexus.stores.files import Files
from nexus.stores.local import FOLDER

_MARK: Final = "state-place.json"
_LOCAL_FILES: Final = ("state.json", "journal.jsonl")


def last_place(root: Path, environment: str) -> StatePlace | None:
    """Where it was; None where nothing was ever remembered from here."""
    folder = root / FOLDER / environment
    with explained("read where the state is", folder / _MARK):
        content = Files().read(folder / _MARK)
    if content is not None:
        try:
            return parse_state_place(json.loads(content))
        except (ValueError, AttributeError, KeyError):
            pass  # as if it was not there: it only saves people from a surprise
    return StatePlace() if any((folder / name).exists() for name in _LOCAL_FILES) else None


def remembered_environments(root: Path) -> tuple[str, ...]:
    """The environments whose state was ever used from here, sorted."""
    folder = root / FOLDER
    with explained("look for environments", folder):
        names = sorted(item.name for item in folder.iterdir() if item.is_dir()) if folder.is_dir() else []
    return tuple(name for name in names if last_place(root, name) is not None)


def remember(place: StatePlace, root: Path, environment: str) -> None:
    """It is there from now on."""
    folder = root / FOLDER / environment
    content = json.dumps(state_place_to_json(place), indent=1).encode()
    files = Files()
    with explained("note where the state is", folder / _MARK):
        if files.read(folder / _MARK) == content:
            return
        files.make_folder(folder)
        ignore = root / FOLDER / ".gitignore"
        if not ignore.exists():
            files.replace_unlocked(ignore, b"*\n")
        files.replace_unlocked(folder / _MARK, content)


def check_unmoved(place: StatePlace, root: Path, environment: str) -> None:
    """Raises DiagnosticsError when the state was last used elsewhere than at ``place``."""
    last = last_place(root, environment)
    if last is None or last.is_same_place(place):
        return
    raise DiagnosticsError(
        error(
            "state-moved",
            "The manifest keeps the state elsewhere than it is",
            detail=f"It was last used in {last}; the manifest says {place}.",
            hint="«nexus state migrate» brings it there, or put «state» back as it was",
        )
    )


class PlacedLock:
    """The lock of an environment's state at ``place``, which is only taken while the state is there.

    It may have been brought elsewhere while the lock was waited for.
    """

    def __init__(self, lock: Lock, place: StatePlace, root: Path, environment: str) -> None:
        self._lock = lock
        self._place = place
        self._root = root
        self._environment = environment

    async def acquire(self, info: LockInfo, patience: float = 0.0) -> LockInfo | None:
        silent = await self._lock.acquire(info, patience)
        try:
            check_unmoved(self._place, self._root, self._environment)
            if not self._place.is_local:
                remember(self._place, self._root, self._environment)
        except DiagnosticsError:
            await self._lock.release()
            raise
        return silent

    async def verify(self) -> None:
        await self._lock.verify()

    async def release(self) -> None:
        await self._lock.release()

    async def holder(self) -> LockInfo | None:
        return await self._lock.holder()

    async def break_open(self, lock_id: str | None) -> LockInfo | None:
        return await self._lock.break_open(lock_id)
