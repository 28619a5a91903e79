"""Uploads and downloads: as JSON documents, in sentences, and as a bar while they happen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

from nexus.providers.carrying import Carried
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.operating import moment
from nexus.render.values import duration, plural, size

_NO_BAR_BELOW: Final = 1024 * 1024


def copied_to_json(
    files: Sequence[Carried],
    *,
    sandbox_id: str,
    address: str,
    source: str,
    target: str,
    is_folder: bool,
    seconds: float,
    at: datetime,
    took_name: str,
) -> Json:
    """The document of upload and of download; ``took_name`` is how it calls the seconds."""
    whole = None if is_folder or not files else files[0]
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox_id": sandbox_id,
        "address": address or None,
        "source": printable(source),
        "file_path": printable(target),
        "is_folder": is_folder,
        "size_bytes": sum(item.size for item in files),
        took_name: round(seconds, 3),
        "checksum": None if whole is None else _checksum(whole),
        "permissions": None if whole is None else f"{whole.mode:o}",
        "created_at": moment(at),
        "files": [
            {
                "path": printable(item.path),
                "size_bytes": item.size,
                "checksum": _checksum(item),
                "permissions": f"{item.mode:o}",
            }
            for item in files
        ],
    }


def printable(path: str) -> str:
    """A path as text: names of files may be no text at all."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _checksum(item: Carried) -> str:
    return f"sha256:{item.sha256}"


def copied_text(files: Sequence[Carried], *, target: str, is_folder: bool, seconds: float) -> str:
    total = size(sum(item.size for item in files))
    what = f"{plural(len(files), 'file')}, {total}," if is_folder else f"{total}"
    return f"{printable(target)}: {what} in {duration(seconds)}, checksums verified"


def _unseen(done: int, total: int) -> None:
    """Nobody watches."""


@contextmanager
def progress_bar(console: Console, words: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for as long as the block lasts, once there is enough to watch; nothing where nobody can watch."""
    if not console.is_terminal:
        yield _unseen
        return
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=console, transient=True) as bar:
        task = bar.add_task(words, total=None, visible=False)
        yield lambda done, total: bar.update(task, completed=done, total=total, visible=total >= _NO_BAR_BELOW)
