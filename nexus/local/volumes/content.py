"""One volume's files, worked on from outside. Everything here blocks: callers use a thread.

A sandbox may have the same folder mounted and change it at any time. Paths are resolved by the kernel with the volume
as their root, what is uploaded appears whole, and what is removed disappears at once.
"""

from __future__ import annotations

import contextlib
import errno
import os
import posixpath
import secrets
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from nexus.local.errors import ConflictError, EngineError, InvalidRequestError, NotFoundError
from nexus.local.storage.trash import Trash
from nexus.local.volumes.beneath import open_beneath, resolved_path
from nexus.local.volumes.entries import Entry, Ownership, Wishes, entry_of, fd_path

_FILE_MODE: Final = 0o644
_FOLDER_MODE: Final = 0o755
_LOOK: Final = os.O_PATH | os.O_NOFOLLOW
_FOLDER: Final = os.O_PATH | os.O_DIRECTORY
_LISTING: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
Result = TypeVar("Result")


class VolumeFullError(EngineError):
    """The disk that volumes lie on has no room left."""

    status = 507


class VolumeContent:
    """The files below ``root``. ``trash`` is on the same file system, outside of every volume."""

    def __init__(self, root: Path, trash: Trash, ownership: Ownership) -> None:
        self._root = root
        self._trash = trash
        self._ownership = ownership

    def stat(self, path: str) -> Entry:
        """Raises NotFoundError."""
        clean = _clean(path)
        with self._opened_root() as root, _told(clean), _opened(root, clean, _LOOK) as fd:
            return entry_of(fd, clean, self._ownership)

    def list(self, path: str, depth: int) -> list[Entry]:
        """What lies in a folder, ``depth`` layers deep: in lexical order, folders before what is in them.

        Raises NotFoundError, and InvalidRequestError for something that is no folder.
        """
        clean = _clean(path)
        with self._opened_root() as root, _told(clean):
            with _opened(root, clean, _FOLDER) as fd:
                # Also where a link leads to; entries are named as they were asked for.
                real = resolved_path(root, fd) or clean
            return list(self._walk(root, real, clean, max(1, depth)))

    def make_folder(self, path: str, wishes: Wishes, *, parents: bool) -> Entry:
        """Raises ConflictError when there is something already: a folder is fine with ``parents``."""
        clean = _clean(path)
        with self._opened_root() as root, _told(clean):
            if clean == "/":
                return self._existing_folder(root, clean, wishes, allowed=parents)
            parent, name = posixpath.split(clean)
            with self._parent(root, parent, make=parents) as folder:
                try:
                    os.mkdir(name, 0o700, dir_fd=folder)
                except FileExistsError:
                    return self._existing_folder(root, clean, wishes, allowed=parents)
                with _opened(folder, name, _LISTING) as fd:
                    self._apply(fd, wishes.with_defaults(_FOLDER_MODE))
                    return entry_of(fd, clean, self._ownership)

    def update(self, path: str, wishes: Wishes) -> Entry:
        """Change owner and mode; of a link, those of what it leads to. Raises NotFoundError."""
        clean = _clean(path)
        with self._opened_root() as root, _told(clean), _opened(root, clean, os.O_PATH) as fd:
            self._apply(fd, wishes)
            return entry_of(fd, clean, self._ownership)

    def remove(self, path: str) -> None:
        """Remove a file, a link, or a folder with everything in it. Raises NotFoundError."""
        clean = _clean(path)
        if clean == "/":
            raise InvalidRequestError("the root of a volume cannot be removed")
        parent, name = posixpath.split(clean)
        with self._opened_root() as root, _told(clean), _opened(root, parent, _FOLDER) as folder:
            self._trash.receive(lambda doomed: _move_out(folder, name, doomed))

    def open_file(self, path: str) -> tuple[int, int]:
        """A readable descriptor of a file, and its size. Raises NotFoundError; InvalidRequestError for folders."""
        clean = _clean(path)
        with self._opened_root() as root, _told(clean):
            # Without waiting: a pipe that a sandbox left there has no writer.
            fd = open_beneath(root, clean, os.O_RDONLY | os.O_NONBLOCK)
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                os.close(fd)
                raise InvalidRequestError(f"path '{clean}' is not a file")
            return fd, status.st_size

    def begin_upload(self, path: str, *, overwrite: bool) -> Upload:
        """Room for a new file. What is written shows up at ``path`` with :meth:`Upload.finish`, or never.

        With ``overwrite`` an existing file is replaced and missing folders are made. Raises ConflictError and
        NotFoundError.
        """
        clean = _clean(path)
        if clean == "/":
            raise ConflictError("path '/' is a directory")
        with self._opened_root() as root, _told(clean):
            destination = self._upload_target(root, clean, overwrite=overwrite)
            parent, name = posixpath.split(destination)
            with self._parent(root, parent, make=overwrite) as folder:
                return Upload(self, os.dup(folder), name, shown=clean, overwrite=overwrite)

    def _upload_target(self, root: int, path: str, *, overwrite: bool) -> str:
        """Where the content goes: what a link leads to, if it leads somewhere."""
        try:
            with _opened(root, path, os.O_PATH) as fd:
                if stat.S_ISDIR(os.fstat(fd).st_mode):
                    raise ConflictError(f"path '{path}' is a directory")
                if not overwrite:
                    raise ConflictError(f"path '{path}' already exists")
                return resolved_path(root, fd) or path
        except FileNotFoundError:
            return path

    def apply_to_upload(self, fd: int, wishes: Wishes, replaced: os.stat_result | None) -> None:
        """Owner and mode of an upload: as wished, else those of the file it replaces, else the defaults."""
        if replaced is not None:
            with contextlib.suppress(PermissionError):
                os.fchown(fd, replaced.st_uid, replaced.st_gid)
            mode = stat.S_IMODE(replaced.st_mode) if wishes.mode is None else wishes.mode
            self._apply(fd, Wishes(uid=wishes.uid, gid=wishes.gid, mode=mode))
        else:
            self._apply(fd, wishes.with_defaults(_FILE_MODE))

    def entry(self, fd: int, path: str) -> Entry:
        return entry_of(fd, path, self._ownership)

    # Helpers

    @contextmanager
    def _opened_root(self) -> Iterator[int]:
        try:
            fd = os.open(self._root, _FOLDER | os.O_CLOEXEC)
        except FileNotFoundError:
            raise NotFoundError("Volume not found") from None
        try:
            yield fd
        finally:
            os.close(fd)

    @contextmanager
    def _parent(self, root: int, path: str, *, make: bool) -> Iterator[int]:
        """The folder ``path``, with what is missing of it made if asked for."""
        if make:
            self._make_parents(root, path)
        with _opened(root, path, _FOLDER) as fd:
            yield fd

    def _make_parents(self, root: int, path: str) -> None:
        current = "/"
        for part in path.strip("/").split("/"):
            if not part:
                continue
            with _opened(root, current, _FOLDER) as folder:
                current = posixpath.join(current, part)
                try:
                    os.mkdir(part, 0o700, dir_fd=folder)
                except FileExistsError:
                    continue
                with _opened(folder, part, _LISTING) as fd:
                    self._apply(fd, Wishes().with_defaults(_FOLDER_MODE))

    def _existing_folder(self, root: int, path: str, wishes: Wishes, *, allowed: bool) -> Entry:
        with _opened(root, path, os.O_PATH) as fd:
            if not allowed or not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise ConflictError(f"path '{path}' already exists")
            self._apply(fd, wishes)
            return entry_of(fd, path, self._ownership)

    def _apply(self, fd: int, wishes: Wishes) -> None:
        if wishes.uid is not None or wishes.gid is not None:
            self._ownership.write(fd, wishes.uid, wishes.gid)
        # After the owner: changing that takes set-uid bits away.
        if wishes.mode is not None:
            os.chmod(fd_path(fd), wishes.mode)

    def _walk(self, root: int, real: str, shown: str, depth: int) -> Iterator[Entry]:
        """Everything below ``real``, which is shown as ``shown``; iterative, since nesting may be deep."""
        pending = _children(_names_in(root, real), real, shown, 1)
        while pending:
            path, name, level = pending.pop()
            entry = _tolerant(partial(self._look, root, path, name))
            if entry is None:
                continue
            yield entry
            if entry.type == "directory" and level < depth:
                names = _tolerant(partial(_names_in, root, path)) or []
                pending += _children(names, path, name, level + 1)

    def _look(self, root: int, path: str, shown: str) -> Entry:
        with _opened(root, path, _LOOK) as fd:
            return entry_of(fd, shown, self._ownership)


class Upload:
    """A file that is being written and has no name yet. Owns ``folder``, the descriptor of where it will lie."""

    def __init__(self, content: VolumeContent, folder: int, name: str, *, shown: str, overwrite: bool) -> None:
        self._content = content
        self._folder = folder
        self._name = name
        self._shown = shown
        self._overwrite = overwrite
        self._interim: str | None = None
        try:
            self._fd = self._new_file()
        except BaseException:
            os.close(folder)
            raise

    def write(self, data: bytes) -> None:
        """Append. Raises VolumeFullError."""
        view = memoryview(data)
        with _told(self._shown):
            while view:
                view = view[os.write(self._fd, view) :]

    def finish(self, wishes: Wishes) -> Entry:
        """Give the file its name. Raises ConflictError when somebody else took it meanwhile and may keep it."""
        with _told(self._shown):
            replaced = self._present()
            self._content.apply_to_upload(self._fd, wishes, replaced)
            if self._overwrite:
                self._replace()
            else:
                self._link(self._name)
            return self._content.entry(self._fd, self._shown)

    def discard(self) -> None:
        """Let go; what has no name by now is gone."""
        if self._interim is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._interim, dir_fd=self._folder)
        os.close(self._fd)
        os.close(self._folder)

    def _new_file(self) -> int:
        try:
            return os.open(fd_path(self._folder), os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR):
                raise
        # A file system without nameless files: a hidden name stands in.
        self._interim = _hidden_name()
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        return os.open(self._interim, flags, 0o600, dir_fd=self._folder)

    def _present(self) -> os.stat_result | None:
        """The file that is going to be replaced."""
        try:
            status = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return None
        if stat.S_ISDIR(status.st_mode):
            raise ConflictError(f"path '{self._shown}' is a directory")
        if not self._overwrite:
            raise ConflictError(f"path '{self._shown}' already exists")
        return status if stat.S_ISREG(status.st_mode) else None

    def _replace(self) -> None:
        # A nameless file can take a free name only; renaming is what replaces in one step.
        if self._interim is None:
            interim = _hidden_name()
            self._link(interim)
            self._interim = interim
        os.rename(self._interim, self._name, src_dir_fd=self._folder, dst_dir_fd=self._folder)
        self._interim = None

    def _link(self, name: str) -> None:
        if self._interim is None:
            os.link(fd_path(self._fd), name, dst_dir_fd=self._folder, follow_symlinks=True)
        else:
            os.link(self._interim, name, src_dir_fd=self._folder, dst_dir_fd=self._folder)


def _hidden_name() -> str:
    return f".nexus-upload-{secrets.token_hex(8)}"


def _clean(path: str) -> str:
    """The path from the volume's root, without ``.``, doubled and trailing slashes. ``..`` stays below the root."""
    if "\0" in path:
        raise InvalidRequestError("Invalid path: it holds a NUL character")
    return posixpath.normpath("/" + path).replace("//", "/", 1)


@contextmanager
def _opened(folder: int, path: str, flags: int) -> Iterator[int]:
    fd = open_beneath(folder, path, flags)
    try:
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What the kernel refuses, in the API's words."""
    try:
        yield
    except OSError as error:
        match error.errno:
            case errno.ENOENT:
                raise NotFoundError(f"path '{path}' not found") from None
            case errno.EEXIST:
                raise ConflictError(f"path '{path}' already exists") from None
            case errno.ENOTDIR:
                raise InvalidRequestError(f"path '{path}' is not a directory, or leads through a file") from None
            case errno.ENAMETOOLONG | errno.ELOOP | errno.EINVAL | errno.ENXIO | errno.EOVERFLOW | errno.EXDEV:
                raise InvalidRequestError(f"Invalid path: {error.strerror}") from None
            case errno.ENOSPC | errno.EDQUOT:
                raise VolumeFullError("there is no space left for volumes") from None
            case errno.EPERM | errno.EACCES:
                raise InvalidRequestError(f"path '{path}' cannot be changed: {error.strerror}") from None
        raise


def _children(names: list[str], path: str, shown: str, level: int) -> list[tuple[str, str, int]]:
    """Where they lie and what they are called, last one first."""
    return [(posixpath.join(path, name), posixpath.join(shown, name), level) for name in sorted(names, reverse=True)]


def _names_in(root: int, path: str) -> list[str]:
    with _opened(root, path, os.O_RDONLY | os.O_DIRECTORY) as fd:
        return os.listdir(fd)


def _tolerant(work: Callable[[], Result]) -> Result | None:
    """None for what vanished, or cannot be looked into, while a listing was under way."""
    try:
        return work()
    except OSError:
        return None


def _move_out(folder: int, name: str, target: Path) -> None:
    try:
        os.rename(name, target, src_dir_fd=folder)
    except PermissionError:
        # An ordinary user may move a folder only when it may write into it.
        with _opened(folder, name, _LOOK) as fd:
            if not stat.S_ISDIR(os.fstat(fd).st_mode):
                raise
            os.chmod(fd_path(fd), 0o700)
        os.rename(name, target, src_dir_fd=folder)
