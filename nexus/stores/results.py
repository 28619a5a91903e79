"""Results of steps, in a folder of the machine: ``results/<key>.json``, and ``content/<sha256>`` for their files.

Several runs may use it at once: everything is written under another name first, and what one of them removes another
finds missing and makes again.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from nexus.model.runs import StepResult
from nexus.stores.files import FILE_MODE, FOLDER_MODE
from nexus.stores.runfile import result_from_json, result_to_json

DEFAULT_LIMIT: Final = 10 * 1024**3
"""Bytes that all contents together may have."""

_IN_USE: Final = 3600.0
"""Seconds since its last use in which a content stays whatever the limit says: a run may be about to take it."""
_MOST_RESULTS: Final = 10_000
_PIECE: Final = 1024 * 1024
_VERSION: Final = 1
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")


class LocalResults:
    """See :class:`nexus.providers.results.Results`. Touches nothing until it is used."""

    def __init__(self, folder: Path, *, limit: int = DEFAULT_LIMIT, now: Callable[[], float] = time.time) -> None:
        self._results = folder / "results"
        self._content = folder / "content"
        self._limit = limit
        self._now = now

    def find(self, key: str) -> StepResult | None:
        path = self._results / f"{_checked(key)}.json"
        try:
            data = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        if not isinstance(data, dict) or data.get("version") != _VERSION:
            return None
        result = result_from_json(data.get("result"))
        if result is None or not all(self.has(item.sha256) for item in result.artefacts.values()):
            return None
        self._touch(path)
        return result

    def note(self, key: str, result: StepResult) -> None:
        text = json.dumps({"version": _VERSION, "result": result_to_json(result)})
        with suppress(OSError):
            self._results.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
            path = self._results / f"{_checked(key)}.json"
            new = path.with_name(f".{secrets.token_hex(6)}")
            _create(new, text.encode())
            new.replace(path)
            self._forget_old_results()

    def has(self, sha256: str) -> bool:
        return _DIGEST.fullmatch(sha256) is not None and self._touch(self._content / sha256)

    async def read(self, sha256: str) -> AsyncIterator[bytes]:
        with (self._content / _checked(sha256)).open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece

    async def keep(self, sha256: str, size: int, chunks: AsyncIterator[bytes]) -> bool:
        if self.has(sha256):
            return True
        self._content.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        self._make_room(size)
        new = self._content / f".{secrets.token_hex(12)}"
        found = hashlib.sha256()
        try:
            with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb") as file:
                async for chunk in chunks:
                    found.update(chunk)
                    file.write(chunk)
            if found.hexdigest() != sha256:
                return False
            new.replace(self._content / sha256)
            return True
        finally:
            new.unlink(missing_ok=True)

    def _touch(self, path: Path) -> bool:
        """Whether it is there; it was used just now."""
        moment = self._now()
        try:
            os.utime(path, (moment, moment))
        except OSError:
            return False
        return True

    def _make_room(self, wanted: int) -> None:
        """Remove what was used longest ago, and what was never finished, until there is room."""
        oldest = sorted(_files(self._content), key=lambda item: item[1])
        total = sum(size for _, _, size in oldest)
        for path, used_at, size in oldest:
            if total + wanted <= self._limit or self._now() - used_at < _IN_USE:
                return
            path.unlink(missing_ok=True)
            total -= size

    def _forget_old_results(self) -> None:
        found = sorted(_files(self._results), key=lambda item: item[1])
        for path, _, _ in found[: max(0, len(found) - _MOST_RESULTS)]:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[Path, float, int]]:
    """All files with the moment of their last use and their size, those that vanish meanwhile left out."""
    found: list[tuple[Path, float, int]] = []
    for path in folder.iterdir():
        with suppress(OSError):
            stat = path.stat()
            found.append((path, stat.st_mtime, stat.st_size))
    return found


def _create(path: Path, content: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE), "wb") as file:
        file.write(content)


def _checked(digest: str) -> str:
    if not _DIGEST.fullmatch(digest):
        raise ValueError("not a digest")
    return digest
