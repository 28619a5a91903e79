"""The project's files, as uploads and expressions read them: confined to its folder, digested once, checked again."""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NoReturn

import pathspec

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import FileEntry, Tree, tree_digest

_PIECE: Final = 1024 * 1024
"""Bytes of a file that are in memory at a time."""
OWN_FOLDER: Final = ".nexus"
"""State and journal: never part of an upload."""


@dataclass(frozen=True, slots=True)
class _Source:
    """Where the files of a tree are: a folder or file on disk, or content from the manifest."""

    tree: Tree
    path: Path | None = None
    content: bytes = b""


@dataclass(slots=True)
class ProjectFiles:
    """Files of the project in ``root``; implements :class:`nexus.kinds.base.SourceFiles`.

    ``key`` makes the digests of sensitive content: with the state's own key they are the same in every run, and no use
    for guessing. Without one, a new random key is used.
    """

    root: Path
    key: bytes = field(default_factory=lambda: os.urandom(32), repr=False)
    _digests: dict[tuple[str, int, int, int], str] = field(default_factory=dict, repr=False)
    _sources: dict[str, _Source] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self.root = self.root.resolve()

    def with_key(self, key: bytes) -> ProjectFiles:
        """The same files, with what was read so far, and another key."""
        return ProjectFiles(self.root, key, self._digests, self._sources)

    def text(self, path: str) -> str:
        """Content of a UTF-8 file. Raises DiagnosticsError when it is missing, outside the project, or not text."""
        resolved = self._resolve(path)
        if not resolved.is_file():
            _fail("not-a-file", f"{path} is not a file")
        try:
            return resolved.read_bytes().decode("utf-8")
        except UnicodeDecodeError:
            _fail("not-text", f"{path} is not UTF-8 text")
        except OSError as problem:
            _fail("unreadable-file", f"{path} can't be read: {problem.strerror}")

    def tree(self, source: str, exclude: Sequence[str] = (), *, mode: int | None = None) -> tuple[str, Tree]:
        """Digest and files of a file or a folder; ``exclude`` are patterns as in .gitignore.

        Raises DiagnosticsError when something of it is missing, outside the project, or neither a file nor a folder.
        """
        resolved = self._resolve(source)
        if resolved.is_dir():
            entries = dict(sorted(self._walk(resolved, source, _patterns(exclude), mode)))
        else:
            entries = {"": self._entry(resolved, source, mode)}
        digest = tree_digest(entries)
        self._sources[digest] = _Source(entries, resolved)
        return digest, entries

    def inline(self, content: str | bytes, mode: int, *, sensitive: bool = False) -> tuple[str, Tree]:
        """Digest and tree of a single file with this content, which is remembered for the apply.

        Of sensitive content not even the size is told.
        """
        data = content.encode() if isinstance(content, str) else content
        if sensitive:
            entry = FileEntry(hmac.new(self.key, data, hashlib.sha256).hexdigest(), mode, 0)
        else:
            entry = FileEntry(hashlib.sha256(data).hexdigest(), mode, len(data))
        tree: Tree = {"": entry}
        digest = tree_digest(tree)
        self._sources[digest] = _Source(tree, content=data)
        return digest, tree

    def content(self, digest: str, path: str) -> Iterator[bytes]:
        """Content of one file of a tree met before, in pieces, read now.

        Raises DiagnosticsError, after the last piece if not before, when the file changed since.
        """
        source = self._sources.get(digest)
        if source is None or path not in source.tree:
            raise KeyError(f"no file {path!r} in the tree {digest}")
        if source.path is None:
            yield source.content
            return
        found, wanted = source.path / path if path else source.path, source.tree[path]
        seen, left = hashlib.sha256(), wanted.size
        try:
            with found.open("rb") as file:
                while data := file.read(_PIECE):
                    seen.update(data)
                    left -= len(data)
                    if left < 0:
                        break
                    yield data
        except OSError as problem:
            _fail("file-changed", f"{found.name} can't be read any more: {problem.strerror}")
        if left != 0 or seen.hexdigest() != wanted.digest:
            _fail("file-changed", f"{found.name} changed while nexus was working", hint="plan again")

    def _resolve(self, path: str) -> Path:
        """The file that ``path`` means, links followed, inside the project."""
        try:
            resolved = (self.root / path).resolve()
        except (OSError, RuntimeError, ValueError):
            _fail("file-not-found", f"{path!r} can't be followed to a file")
        self._confine(resolved, path)
        if not os.path.exists(resolved):  # noqa: PTH110 - pathlib raises for names that no file can have
            _fail(
                "file-not-found",
                f"There is no {path}",
                detail=f"It was looked for in {self.root}.",
                hint="paths are relative to the project's folder",
            )
        return resolved

    def _confine(self, resolved: Path, shown: str) -> None:
        if not resolved.is_relative_to(self.root):
            _fail(
                "outside-project",
                f"{shown} is not inside the project",
                detail="Links are followed, and what they lead to has to be inside too.",
            )

    def _walk(
        self, folder: Path, shown: str, excluded: pathspec.GitIgnoreSpec, mode: int | None
    ) -> Iterator[tuple[str, FileEntry]]:
        pending: list[tuple[Path, str, tuple[Path, ...]]] = [(folder, "", (folder,))]
        while pending:
            current, prefix, above = pending.pop()
            for item in sorted(self._scan(current), key=lambda entry: entry.name):
                relative = prefix + item.name
                path = Path(item.path)
                is_folder = path.is_dir()  # unlike the entry's own, False for a link that leads nowhere
                as_text = relative.encode(errors="replace").decode()
                if excluded.match_file(f"{as_text}/" if is_folder else as_text) or path == self.root / OWN_FOLDER:
                    continue
                if as_text != relative:
                    _not_text(relative)
                resolved = Path(os.path.realpath(path)) if item.is_symlink() else path
                if item.is_symlink():
                    self._confine(resolved, f"{shown.rstrip('/')}/{relative}")
                if not is_folder:
                    yield relative, self._entry(resolved, f"{shown.rstrip('/')}/{relative}", mode)
                elif resolved in above:
                    _fail("link-loop", f"{shown.rstrip('/')}/{relative} leads back to a folder that it is in")
                else:
                    pending.append((path, f"{relative}/", (*above, resolved)))

    def _scan(self, folder: Path) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return list(entries)
        except OSError as problem:
            _fail("unreadable-file", f"{folder.name} can't be read: {problem.strerror}")

    def _entry(self, path: Path, shown: str, mode: int | None) -> FileEntry:
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):
                _fail("not-a-file", f"{shown} is neither a file nor a folder")
            return FileEntry(
                self._digest(path, status), status.st_mode & 0o777 if mode is None else mode, status.st_size
            )
        except OSError as problem:
            _fail("unreadable-file", f"{shown} can't be read: {problem.strerror}")

    def _digest(self, path: Path, status: os.stat_result) -> str:
        """The file's sha256, kept for as long as the file looks the same."""
        seen = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._digests.get(seen)
        if known is None:
            with path.open("rb") as file:
                known = hashlib.file_digest(file, "sha256").hexdigest()
            self._digests[seen] = known
        return known


def _patterns(exclude: Sequence[str]) -> pathspec.GitIgnoreSpec:
    try:
        return pathspec.GitIgnoreSpec.from_lines(exclude)
    except ValueError as problem:
        _fail("invalid-value", f"exclude holds something that is not a pattern: {problem}")


def _not_text(relative: str) -> NoReturn:
    _fail(
        "not-text",
        f"A file has a name that is not UTF-8: {relative!a}",
        hint="rename it, or leave it out with «exclude»",
    )


def _fail(code: str, summary: str, *, detail: str = "", hint: str = "") -> NoReturn:
    raise DiagnosticsError(error(code, summary, detail=detail, hint=hint))
