"""The ``filesystem.Filesystem`` RPC service. envd is root: the user only decides paths and who owns what is made."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from typing import Literal

from connectrpc.code import Code
from connectrpc.errors import ConnectError
from e2b.envd.filesystem import filesystem_pb as pb
from e2b.envd.filesystem.filesystem_connect import Filesystem
from protobuf import Oneof

from nexus.local.envd import entries
from nexus.local.envd.access import rpc_username
from nexus.local.envd.accounts import Account, UnknownUserError
from nexus.local.envd.context import Context
from nexus.local.envd.rpc import Ctx, keepalive_seconds, next_or_silence
from nexus.local.envd.watching import Change, ChangeKind, Watcher, WatcherTable, is_network_mount

_EVENT_TYPES = {
    ChangeKind.CREATE: pb.EventType.CREATE,
    ChangeKind.WRITE: pb.EventType.WRITE,
    ChangeKind.REMOVE: pb.EventType.REMOVE,
    ChangeKind.RENAME: pb.EventType.RENAME,
    ChangeKind.CHMOD: pb.EventType.CHMOD,
}
_WITH_ENTRY = {ChangeKind.CREATE, ChangeKind.WRITE, ChangeKind.CHMOD}
# Long walks give other requests a turn after so many entries.
_TURN = 256


class FilesystemService(Filesystem):
    """Stat, list, make, move, remove and watch."""

    def __init__(self, context: Context, watchers: WatcherTable) -> None:
        self._context = context
        self._watchers = watchers

    async def stat(self, request: pb.StatRequest, ctx: Ctx) -> pb.StatResponse:
        path = self._path(request.path, self._account(ctx))
        try:
            return pb.StatResponse(entry=self._entry(path))
        except OSError as error:
            raise _rpc_error(error, path) from error

    async def make_dir(self, request: pb.MakeDirRequest, ctx: Ctx) -> pb.MakeDirResponse:
        account = self._account(ctx)
        path = self._path(request.path, account)
        if os.path.isdir(path):
            raise ConnectError(Code.ALREADY_EXISTS, f"directory already exists: {path}")
        if os.path.lexists(path):
            raise ConnectError(Code.INVALID_ARGUMENT, f"path already exists but it is not a directory: {path}")
        try:
            entries.make_directories(path, account)
            return pb.MakeDirResponse(entry=self._entry(path))
        except OSError as error:
            raise _rpc_error(error, path) from error

    async def move(self, request: pb.MoveRequest, ctx: Ctx) -> pb.MoveResponse:
        account = self._account(ctx)
        source, destination = self._path(request.source, account), self._path(request.destination, account)
        try:
            os.lstat(source)
            entries.make_directories(os.path.dirname(destination), account)
            _rename(source, destination)
            return pb.MoveResponse(entry=self._entry(destination))
        except OSError as error:
            raise _rpc_error(error, source) from error

    async def list_dir(self, request: pb.ListDirRequest, ctx: Ctx) -> pb.ListDirResponse:
        path = self._path(request.path, self._account(ctx))
        try:
            if not stat.S_ISDIR(os.stat(path).st_mode):
                raise ConnectError(Code.INVALID_ARGUMENT, f"path is not a directory: {path}")
            found = []
            for count, child in enumerate(_walk(path, max(request.depth, 1))):
                try:
                    found.append(self._entry(child))
                except FileNotFoundError:
                    continue  # removed while we looked
                if count % _TURN == _TURN - 1:
                    await asyncio.sleep(0)
            return pb.ListDirResponse(entries=found)
        except OSError as error:
            raise _rpc_error(error, path) from error

    async def remove(self, request: pb.RemoveRequest, ctx: Ctx) -> pb.RemoveResponse:
        path = self._path(request.path, self._account(ctx))
        try:
            await _remove(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise _rpc_error(error, path) from error
        return pb.RemoveResponse()

    async def watch_dir(self, request: pb.WatchDirRequest, ctx: Ctx) -> AsyncIterator[pb.WatchDirResponse]:
        watcher = self._watch(request, ctx)
        keepalive = keepalive_seconds(ctx)
        try:
            yield _started()
            while True:
                changes = await next_or_silence(watcher.next(), keepalive, ctx)
                if changes is None:
                    yield _keepalive()
                for change in changes or ():
                    yield _changed(self._event(change, request.include_entry))
        finally:
            watcher.close()

    async def create_watcher(self, request: pb.CreateWatcherRequest, ctx: Ctx) -> pb.CreateWatcherResponse:
        watcher = self._watch(request, ctx)
        return pb.CreateWatcherResponse(watcher_id=self._watchers.add(watcher, include_entry=request.include_entry))

    async def get_watcher_events(
        self,
        request: pb.GetWatcherEventsRequest,
        ctx: Ctx,  # noqa: ARG002
    ) -> pb.GetWatcherEventsResponse:
        found = self._watchers.get(request.watcher_id)
        if found is None:
            raise ConnectError(Code.NOT_FOUND, f"watcher with id {request.watcher_id} not found")
        watcher, include_entry = found
        return pb.GetWatcherEventsResponse(events=[self._event(change, include_entry) for change in watcher.take()])

    async def remove_watcher(
        self,
        request: pb.RemoveWatcherRequest,
        ctx: Ctx,  # noqa: ARG002
    ) -> pb.RemoveWatcherResponse:
        if not self._watchers.remove(request.watcher_id):
            raise ConnectError(Code.NOT_FOUND, f"watcher with id {request.watcher_id} not found")
        return pb.RemoveWatcherResponse()

    def _account(self, ctx: Ctx) -> Account:
        try:
            return self._context.account(rpc_username(ctx.request_headers))
        except UnknownUserError as error:
            raise ConnectError(Code.UNAUTHENTICATED, f"invalid username: '{error.username}'") from error

    def _path(self, path: str, account: Account) -> str:
        if "\0" in path:
            raise ConnectError(Code.INVALID_ARGUMENT, "invalid path: it contains a null byte")
        return self._context.resolve(path, account)

    def _entry(self, path: str) -> pb.EntryInfo:
        return entries.describe(path, self._context.accounts)

    def _watch(self, request: pb.WatchDirRequest | pb.CreateWatcherRequest, ctx: Ctx) -> Watcher:
        path = self._path(request.path, self._account(ctx))
        try:
            if not stat.S_ISDIR(os.stat(path).st_mode):
                raise ConnectError(Code.INVALID_ARGUMENT, f"path is not a directory: {path}")
            if not request.allow_network_mounts and is_network_mount(path):
                raise ConnectError(Code.INVALID_ARGUMENT, f"cannot watch path on network filesystem: {path}")
            return Watcher(path, recursive=request.recursive)
        except OSError as error:
            raise _rpc_error(error, path) from error

    def _event(self, change: Change, include_entry: bool) -> pb.FilesystemEvent:
        event = pb.FilesystemEvent(name=change.name, type=_EVENT_TYPES[change.kind])
        if include_entry and change.kind in _WITH_ENTRY:
            try:
                event.entry = self._entry(change.path)
            except OSError:
                return event  # gone again
        return event


def _started() -> pb.WatchDirResponse:
    start: Oneof[Literal["start"], pb.WatchDirResponse.StartEvent] = Oneof("start", pb.WatchDirResponse.StartEvent())
    return pb.WatchDirResponse(event=start)


def _keepalive() -> pb.WatchDirResponse:
    alive: Oneof[Literal["keepalive"], pb.WatchDirResponse.KeepAlive] = Oneof(
        "keepalive", pb.WatchDirResponse.KeepAlive()
    )
    return pb.WatchDirResponse(event=alive)


def _changed(event: pb.FilesystemEvent) -> pb.WatchDirResponse:
    changed: Oneof[Literal["filesystem"], pb.FilesystemEvent] = Oneof("filesystem", event)
    return pb.WatchDirResponse(event=changed)


def _walk(directory: str, depth: int) -> Iterator[str]:
    """Everything below ``directory``, ``depth`` levels deep, parents before children, in lexical order."""
    with os.scandir(directory) as found:
        children = sorted(found, key=lambda child: child.name)
    for child in children:
        yield child.path
        if depth > 1 and child.is_dir(follow_symlinks=False):
            try:
                yield from _walk(child.path, depth - 1)
            except FileNotFoundError:
                continue  # removed while we looked


async def _remove(path: str) -> None:
    """Remove a file or a whole tree, giving others a turn now and then, who may remove some of it themselves."""
    if not stat.S_ISDIR(os.lstat(path).st_mode):
        os.unlink(path)
        return
    count = 0
    for directory, names, files in os.walk(path, topdown=False):
        for name in files:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(directory, name))
        for name in names:
            _remove_folder(os.path.join(directory, name))
        count += len(files) + len(names)
        if count >= _TURN:
            count = 0
            await asyncio.sleep(0)
    _remove_folder(path)


def _remove_folder(path: str) -> None:
    """Remove an empty folder, or a link to one, if it is still there."""
    with contextlib.suppress(FileNotFoundError):
        if os.path.islink(path):
            os.unlink(path)
        else:
            os.rmdir(path)


def _rename(source: str, destination: str) -> None:
    try:
        os.rename(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Directories of lower layers and other mounts can only be copied.
        shutil.move(source, destination)


def _rpc_error(error: OSError, path: str) -> ConnectError:
    match error.errno:
        case errno.ENOENT:
            return ConnectError(Code.NOT_FOUND, f"path not found: {path}")
        case errno.EEXIST | errno.ENOTDIR | errno.ENOTEMPTY | errno.EISDIR | errno.EINVAL | errno.ELOOP:
            return ConnectError(Code.INVALID_ARGUMENT, f"{error.strerror}: {path}")
        case errno.ENAMETOOLONG:
            return ConnectError(Code.INVALID_ARGUMENT, f"{error.strerror}: {path[:64]}…")
        case errno.ENOSPC | errno.EDQUOT | errno.EMFILE | errno.ENFILE:
            return ConnectError(Code.RESOURCE_EXHAUSTED, f"{error.strerror}: {path}")
        case _:
            return ConnectError(Code.INTERNAL, f"{error.strerror}: {path}")
