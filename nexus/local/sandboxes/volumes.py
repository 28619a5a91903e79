"""Volumes: named host folders that sandboxes mount at create and that outlive them."""

from __future__ import annotations

import asyncio
import re
import shutil
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from nexus.local.documents import clear_leftovers, read_document, remove_document, write_document
from nexus.local.errors import InvalidRequestError, NotFoundError
from nexus.local.sandboxes.model import VolumeMount
from nexus.local.storage.trash import Trash
from nexus.local.volumes import NotedOwnership, RealOwnership, VolumeContent

_NAME = re.compile(r"[A-Za-z0-9_-]{1,128}")
GUEST_UID = 1000
# Holds volumes that were destroyed, and what was removed from others.
_TRASH = ".trash"


@dataclass(frozen=True, slots=True)
class Volume:
    id: str
    name: str


class VolumeRegistry:
    """Names and ids of volumes, and the folder each one's content lies in.

    ``owner`` is the uid that new ones belong to; None where all accounts of a sandbox share this process's own.
    """

    def __init__(self, folder: Path, owner: int | None) -> None:
        self._folder = folder
        self._owner = owner
        self._volumes: dict[str, Volume] = {}
        self._names_to_be: set[str] = set()
        self._trash = Trash(folder / _TRASH)

    def open(self) -> None:
        """Read what is on disk, and go on to remove what was thrown away."""
        (self._folder / _TRASH).mkdir(mode=0o700, parents=True, exist_ok=True)
        clear_leftovers(self._folder)
        for path in self._folder.glob("*.json"):
            document = read_document(path)
            if document is not None:
                volume = Volume(str(document["id"]), str(document["name"]))
                self._volumes[volume.id] = volume
        self._throw_away_ownerless_content()
        self._trash.start()

    def close(self) -> None:
        """Stop removing; what is left waits for the next opening."""
        self._trash.stop()

    def list(self) -> list[Volume]:
        return sorted(self._volumes.values(), key=lambda volume: volume.name)

    def get(self, volume_id: str) -> Volume:
        """Raises InvalidRequestError for something that is no UUID, NotFoundError for an unknown one."""
        try:
            normal = str(uuid.UUID(volume_id))
        except ValueError:
            raise InvalidRequestError("Invalid volume ID") from None
        if (volume := self._volumes.get(normal)) is None:
            raise NotFoundError("Volume not found")
        return volume

    async def create(self, name: str, room: Callable[[int], None] = lambda _existing: None) -> Volume:
        """Found by others when it is whole. Raises InvalidRequestError for an unusable or taken name.

        ``room`` is asked whether there may be one more beside so many, and raises when not.
        """
        room(len(self._volumes) + len(self._names_to_be))
        if _NAME.fullmatch(name) is None:
            raise InvalidRequestError(
                "Invalid volume name: only letters, digits, hyphens and underscores are allowed, 128 at most"
            )
        if name in self._names_to_be or self.named(name) is not None:
            raise InvalidRequestError(f"Volume with name '{name}' already exists")
        volume = Volume(str(uuid.uuid4()), name)
        # Before the first await: two requests for one name must not both pass the check above.
        self._names_to_be.add(name)
        try:
            await asyncio.to_thread(self._write, volume)
            self._volumes[volume.id] = volume
        finally:
            self._names_to_be.discard(name)
        return volume

    async def destroy(self, volume_id: str) -> None:
        """The volume is gone when this returns, however much it holds; it leaves the disk later."""
        volume = self.get(volume_id)
        del self._volumes[volume.id]
        await asyncio.to_thread(self._erase, volume)

    def named(self, name: str) -> Volume | None:
        return next((volume for volume in self._volumes.values() if volume.name == name), None)

    def content(self, volume: Volume) -> Path:
        return self._folder / volume.id

    def files(self, volume_id: str) -> VolumeContent:
        """The content of a volume, to be worked on from outside of sandboxes. Raises as :meth:`get` does."""
        ownership = NotedOwnership() if self._owner is None else RealOwnership()
        return VolumeContent(self.content(self.get(volume_id)), self._trash, ownership)

    def locate(self, mounts: Iterable[VolumeMount]) -> Mapping[str, Path]:
        """Host folders by the path inside. All problems are reported in one InvalidRequestError, as E2B does."""
        problems: list[str] = []
        found: dict[str, Path] = {}
        for mount in mounts:
            if problem := _path_problem(mount.path, found):
                problems.append(problem)
            if (volume := self.named(mount.name)) is None:
                problems.append(f"volume '{mount.name}' not found")
            else:
                found[mount.path] = self.content(volume)
        if problems:
            raise InvalidRequestError(f"invalid mounts: {'; '.join(problems)}")
        return found

    def _write(self, volume: Volume) -> None:
        content = self.content(volume)
        content.mkdir(mode=0o755)
        if self._owner is not None:
            shutil.chown(content, self._owner, self._owner)
        write_document(self._record(volume), {"id": volume.id, "name": volume.name})

    def _erase(self, volume: Volume) -> None:
        remove_document(self._record(volume))
        self._trash.take(self.content(volume))

    def _record(self, volume: Volume) -> Path:
        return self._folder / f"{volume.id}.json"

    def _throw_away_ownerless_content(self) -> None:
        """A crash between the folder and the record, or between record and folder at removal, leaves a folder."""
        for path in self._folder.iterdir():
            if path.is_dir() and path.name not in self._volumes and path.name != _TRASH:
                self._trash.take(path)


def _path_problem(path: str, taken: Mapping[str, Path]) -> str | None:
    if not path.startswith("/") or path == "/":
        return f"path '{path}' must be absolute and not the root"
    if any(part in ("", ".", "..") for part in path[1:].split("/")):
        return f"path '{path}' must be clean"
    if path in taken:
        return f"path '{path}' is used twice"
    return None
