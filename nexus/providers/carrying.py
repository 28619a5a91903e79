"""Files on their way between this machine and a sandbox, as the commands and the provider hand them to each other."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum


class RemoteKind(StrEnum):
    """What is at a path of a sandbox."""

    NOTHING = "nothing"
    FILE = "file"
    FOLDER = "folder"


@dataclass(frozen=True, slots=True)
class RemotePlace:
    """A path of a sandbox, made absolute, and what is there."""

    path: str
    kind: RemoteKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A file of this machine. ``path`` is where it goes, absolute; ``read`` gives its content in pieces."""

    path: str
    mode: int
    size: int
    read: Callable[[], Iterator[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shipment:
    """What is to be put into a sandbox: files, folders (empty ones count, too), and links as (path, target)."""

    files: Sequence[Outgoing]
    folders: Sequence[str] = ()
    links: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Carried:
    """A file that has arrived, whole: its content has this digest at both ends."""

    path: str
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteFile:
    """A file of a sandbox: ``relative`` to the folder that was listed, "" for the file itself."""

    path: str
    relative: str
    size: int
    mode: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteTree:
    """A file of a sandbox, or what is below a folder of it. ``links`` are pairs of a relative path and a target."""

    files: Sequence[RemoteFile]
    folders: Sequence[str]
    links: Sequence[tuple[str, str]]


Incoming = AsyncIterator[tuple[RemoteFile, AsyncIterator[bytes]]]
"""Files of a sandbox one after the other. The content of each has to be read before the next is asked for."""

OnBytes = Callable[[int], None]
"""Told how many more bytes have been carried."""
