"""Use cases `upload` and `download`: files and folders between this machine and a live sandbox."""

from __future__ import annotations

import asyncio
import hashlib
import os
import posixpath
import secrets
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity, error
from nexus.providers.carrying import Carried, Outgoing, RemoteFile, RemoteKind, RemoteTree, Shipment
from nexus.providers.operating import Operator
from nexus.workflows.operating import Sandbox, about

_PIECE: Final = 1024 * 1024
_ORDINARY: Final = 0o644

OnProgress = Callable[[int, int], None]
"""Told how many bytes have been carried by now, and of how many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What was copied to where. ``warnings`` tell what was left out."""

    target: str
    is_folder: bool
    files: Sequence[Carried]
    warnings: Sequence[Diagnostic] = ()


async def upload(
    operator: Operator, sandbox: Sandbox, source: Path, target: str, user: str, on_progress: OnProgress
) -> Copied:
    """Put a file, or what is in a folder, into the sandbox, belonging to ``user``. Existing files are written over.

    Raises DiagnosticsError where something can't be read here, or be written there.
    """
    with about(sandbox):
        place = await operator.locate(sandbox.id, target, user=user)
        is_folder = source.is_dir()
        root = place.path
        if not is_folder and (place.kind is RemoteKind.FOLDER or target.endswith("/")):
            root = posixpath.join(place.path, source.name)
        if is_folder and place.kind is RemoteKind.FILE:
            raise DiagnosticsError(error("not-a-folder", f"{place.path} in the sandbox is a file, not a folder"))
        shipment, warnings = _shipment(source, root, is_folder=is_folder)
        count = _Counter(sum(item.size for item in shipment.files), on_progress)
        try:
            files = [item async for item in operator.put(sandbox.id, shipment, user=user, on_bytes=count.more)]
        except OSError as problem:
            raise _unreadable(Path(problem.filename or source), problem) from problem
    return Copied(target=root, is_folder=is_folder, files=files, warnings=warnings)


async def write_content(operator: Operator, sandbox: Sandbox, target: str, content: bytes) -> Copied:
    """Write one file of the sandbox, belonging to its user, over what is there. Raises DiagnosticsError."""
    with about(sandbox):
        place = await operator.locate(sandbox.id, target, user=sandbox.user)
        if place.kind is RemoteKind.FOLDER or target.endswith("/"):
            hint = "name the file, too"
            raise DiagnosticsError(error("not-a-file", f"{place.path} in the sandbox is a folder", hint=hint))
        outgoing = Outgoing(path=place.path, mode=_ORDINARY, size=len(content), read=lambda: iter([content]))
        put = operator.put(sandbox.id, Shipment(files=[outgoing]), user=sandbox.user, on_bytes=lambda _: None)
        return Copied(target=place.path, is_folder=False, files=[item async for item in put])


async def download(
    operator: Operator,
    sandbox: Sandbox,
    source: str,
    target: Path,
    user: str,
    on_progress: OnProgress,
    *,
    into_folder: bool = False,
) -> Copied:
    """Copy a file of the sandbox, or what is in a folder of it, to here. Existing files are written over.

    ``into_folder`` says that ``target`` is to be a folder that a file goes into. Nothing is ever written outside of
    ``target``, whatever the sandbox says. Raises DiagnosticsError.
    """
    with about(sandbox):
        place = await operator.locate(sandbox.id, source, user=user)
        if place.kind is RemoteKind.NOTHING:
            raise DiagnosticsError(error("file-not-found", f"There is no {place.path} in the sandbox"))
        tree = await operator.list_tree(sandbox.id, place.path, user=user)
        is_folder = place.kind is RemoteKind.FOLDER
        root = target
        if not is_folder and (into_folder or target.is_dir()):
            root = target / posixpath.basename(place.path)
        count = _Counter(sum(item.size for item in tree.files), on_progress)
        try:
            files = await _write_all(operator, sandbox, tree, root, user, count)
            warnings = _make_links(tree, root)
        except OSError as problem:
            raise DiagnosticsError(
                error("file-unwritable", f"{problem.filename or root} can't be written", detail=problem.strerror or "")
            ) from problem
    return Copied(target=str(root), is_folder=is_folder, files=files, warnings=warnings)


class _Counter:
    def __init__(self, total: int, on_progress: OnProgress) -> None:
        self._total = total
        self._done = 0
        self._on_progress = on_progress

    def more(self, count: int) -> None:
        self._done += count
        self._on_progress(self._done, self._total)


def _shipment(source: Path, root: str, *, is_folder: bool) -> tuple[Shipment, list[Diagnostic]]:
    try:
        if not is_folder:
            return Shipment(files=[_outgoing(source, root)]), []
        return _folder(source, root)
    except OSError as problem:
        raise _unreadable(Path(problem.filename or source), problem) from problem


def _folder(source: Path, root: str) -> tuple[Shipment, list[Diagnostic]]:
    files: list[Outgoing] = []
    folders: list[str] = [root]
    links: list[tuple[str, str]] = []
    left_out: list[Diagnostic] = []

    def fail(problem: OSError) -> None:
        raise problem

    for place, names, file_names in os.walk(source, onerror=fail):
        below = posixpath.normpath(posixpath.join(root, Path(place).relative_to(source).as_posix()))
        folders += [posixpath.join(below, name) for name in names if not (Path(place) / name).is_symlink()]
        for name in (*names, *file_names):
            path, target = Path(place) / name, posixpath.join(below, name)
            if path.is_symlink():
                links.append((target, str(path.readlink())))
            elif path.is_file():
                files.append(_outgoing(path, target))
            elif not path.is_dir():
                left_out.append(_left_out(str(path), "It is neither a file nor a folder nor a link."))
    return Shipment(files=files, folders=folders, links=links), left_out


def _outgoing(path: Path, target: str) -> Outgoing:
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise DiagnosticsError(error("file-unreadable", f"{path} is neither a file nor a folder"))
    return Outgoing(path=target, mode=status.st_mode & 0o777, size=status.st_size, read=lambda: _pieces(path))


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            yield piece


async def _write_all(
    operator: Operator, sandbox: Sandbox, tree: RemoteTree, root: Path, user: str, count: _Counter
) -> list[Carried]:
    for relative in tree.folders:
        _inside(root, relative).mkdir(parents=True, exist_ok=True)
    done: list[Carried] = []
    async for item, content in operator.fetch(sandbox.id, tree.files, user=user):
        path = _inside(root, item.relative)
        path.parent.mkdir(parents=True, exist_ok=True)
        done.append(await _write(path, item, content, count))
    return done


async def _write(path: Path, item: RemoteFile, content: AsyncIterator[bytes], count: _Counter) -> Carried:
    """Under another name until it is here as a whole, and as it was in the sandbox."""
    part = path.with_name(f".{path.name[:200]}.nexus-{secrets.token_hex(4)}")
    digest, size = hashlib.sha256(), 0
    try:
        with part.open("xb") as file:
            async for piece in content:
                digest.update(piece)
                size += len(piece)
                await _put(file, piece)
                count.more(len(piece))
        if digest.hexdigest() != item.sha256:
            raise DiagnosticsError(_changed(item))
        part.chmod(item.mode & 0o777)
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return Carried(path=str(path), size=size, mode=item.mode & 0o777, sha256=digest.hexdigest())


async def _put(file: BinaryIO, piece: bytes) -> None:
    """Small pieces cost less than the switch to a thread."""
    if len(piece) < 64 * 1024:
        file.write(piece)
    else:
        await asyncio.to_thread(file.write, piece)


def _inside(root: Path, relative: str) -> Path:
    """Where a file goes: a sandbox may name paths, and have left links, that lead somewhere else."""
    path = root / relative if relative else root
    if relative and not (_is_below(path.parent, root) and ".." not in Path(relative).parts):
        raise DiagnosticsError(
            error("path-escapes", "A file leads out of the folder that it is copied to", detail=f"It is {relative!r}.")
        )
    return path


def _is_below(path: Path, root: Path) -> bool:
    return path.resolve().is_relative_to(root.resolve())


def _make_links(tree: RemoteTree, root: Path) -> list[Diagnostic]:
    """Links that lead out of the folder are left out: what writes here next would follow them."""
    left_out: list[Diagnostic] = []
    for relative, target in tree.links:
        path = _inside(root, relative)
        if Path(target).is_absolute() or not _is_below(path.parent / target, root):
            left_out.append(_left_out(relative, f"This link leads out of the folder, to {target}."))
            continue
        with suppress(FileNotFoundError):
            path.unlink()
        path.symlink_to(target)
    return left_out


def _left_out(path: str, why: str) -> Diagnostic:
    return Diagnostic(severity=Severity.WARNING, code="left-out", summary=f"{path} was left out", detail=why)


def _changed(item: RemoteFile) -> Diagnostic:
    return error(
        "checksum-mismatch",
        "A file is not what it was when it was looked at",
        detail=f"{item.path} was changed while it was read, or did not arrive whole.",
        hint="try again when nothing writes to it",
    )


def _unreadable(path: Path, problem: OSError) -> DiagnosticsError:
    return DiagnosticsError(error("file-unreadable", f"{path} can't be read", detail=problem.strerror or ""))
