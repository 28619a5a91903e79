"""Small JSON documents on disk, one per file: written whole and durably, or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

Document = Mapping[str, object]


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
