"""Small JSON documents on disk, one per file: written whole and durably, or not at all."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from weakref import WeakValueDictionary

Document = Mapping[str, object]


class DocumentWriter:
    """Writes and removes documents in threads, since fsync takes longer than the event loop may stand still.

    What was asked for last is what stays, whichever thread is quicker: a document that was removed does not come back.
    """

    def __init__(self) -> None:
        self._wanted: dict[Path, Document | None] = {}
        self._turns: WeakValueDictionary[Path, asyncio.Lock] = WeakValueDictionary()

    async def write(self, path: Path, document: Document) -> None:
        """Returns when ``document``, or what was asked for later, is on disk."""
        await self._bring_about(path, document)

    async def remove(self, path: Path) -> None:
        """Returns when ``path`` is gone, or what was asked for later is on disk. Idempotent."""
        await self._bring_about(path, None)

    async def _bring_about(self, path: Path, document: Document | None) -> None:
        self._wanted[path] = document
        async with self._turns.setdefault(path, asyncio.Lock()):
            # Whoever had the turn before may have done it.
            if path in self._wanted:
                wanted = self._wanted[path]
                await asyncio.to_thread(_write_or_remove, path, wanted)
                if self._wanted[path] is wanted:
                    del self._wanted[path]


def write_document(path: Path, document: Document) -> None:
    """Replace ``path`` atomically; when this returns, the new content survives a power cut. Mode 0600."""
    write_text(path, json.dumps(document, ensure_ascii=False, sort_keys=True))


def write_text(path: Path, text: str) -> None:
    """The same for any text."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def read_document(path: Path) -> dict[str, object] | None:
    """The document at ``path``, or None when there is none.

    Raises ValueError naming the file when it is not a JSON object.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{path} is not valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} does not hold a JSON object")
    return value


def remove_document(path: Path) -> None:
    """Remove ``path`` durably. Idempotent."""
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def _write_or_remove(path: Path, document: Document | None) -> None:
    if document is None:
        remove_document(path)
    else:
        write_document(path, document)


def clear_leftovers(folder: Path) -> None:
    """Remove temporary files that a crash between write and rename left in ``folder``."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def sync_folder(folder: Path) -> None:
    """Make renames and removals in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
