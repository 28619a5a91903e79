"""The use case `fmt`: files of manifests in the one layout, with the same meaning, comments and order."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus import manifest
from nexus.manifest import NotFormattable, formatted
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatted:
    """One text before and after. ``name`` is what messages call it."""

    name: str
    before: str
    after: str

    @property
    def is_changed(self) -> bool:
        return self.before != self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Formatting:
    """``files`` by path, and what kept others from being formatted."""

    files: dict[Path, Formatted]
    problems: tuple[Diagnostic, ...]


def format_text(text: str, name: str) -> Formatted:
    """One manifest. Raises DiagnosticsError when it is no YAML that could be one."""
    document = manifest.read_yaml(text, name)
    if document.diagnostics:
        raise DiagnosticsError(document.diagnostics)
    try:
        return Formatted(name=name, before=text, after=formatted(text))
    except NotFormattable as problem:
        raise DiagnosticsError(
            error(
                "not-formattable",
                f"{name} can't be formatted",
                detail=f"It {problem}.",
                hint="write that part in a simpler way; the file was left as it is",
            )
        ) from problem


def format_files(folder: Path, paths: Sequence[Path]) -> Formatting:
    """Files, and the manifests of folders with all that they include; of ``folder`` where no path is given.

    Nothing is written. Relative paths begin at ``folder``. A file that can't be formatted does not keep the others.
    """
    files: dict[Path, Formatted] = {}
    problems: list[Diagnostic] = []
    for path in paths or (folder,):
        try:
            members = list(_members(folder / path))
        except DiagnosticsError as problem:
            problems += problem.diagnostics
            continue
        for member in members:
            try:
                files.setdefault(member, _format_file(member, folder))
            except DiagnosticsError as problem:
                problems += problem.diagnostics
    return Formatting(files=files, problems=tuple(dict.fromkeys(problems)))


def write(path: Path, item: Formatted) -> None:
    """Put the layout into the file. Raises DiagnosticsError when it can't be, or the file changed meanwhile."""
    manifest.save(path, item.name, item.before.encode(), item.after.encode())


def _members(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path.absolute()
        return
    read = manifest.read(path)
    for name in (*read.files, *manifest.overlay_files(read).values()):
        if (read.root / name).is_file():
            yield read.root / name


def _format_file(path: Path, folder: Path) -> Formatted:
    name = os.path.relpath(path, folder.resolve()) if path.is_relative_to(folder.resolve()) else str(path)
    try:
        content = path.read_bytes()
    except OSError as problem:
        raise DiagnosticsError(
            error("file-unreadable", f"{name} can't be read", detail=f"{problem.strerror}.")
        ) from problem
    document = manifest.read_yaml(content, name)
    if document.diagnostics:
        raise DiagnosticsError(document.diagnostics)
    return format_text(content.decode(), name)
