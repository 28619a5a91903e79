"""Where things lie in a store: the base, committed layers, and what each machine writes.

::

    base/<key>/<tree>          generated once per state of the host
    layers/<key>/<tree>        committed, never changed again
    up/<machine>/<tree>/{u,w}  upper and work folder of one machine
    tmp/                       things half made; a rename brings them to their place
    trash/                     things on their way out; a rename brought them there

A *tree* is one overlay: ``root`` is the machine's ``/``, the others (``usr``, ``opt``, …) lie on a folder of the host.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT_TREE: Final = "root"
SNAPSHOT_PREFIX: Final = "snapshot-"
"""What ids of layers begin with that nobody can make again: they are kept only while something stands on them."""

# No digit of base 32, so that the two kinds of folders can be told apart by name.
_SNAPSHOT_MARK: Final = "0"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")


@dataclass(frozen=True, slots=True)
class Store:
    """The folders of one store. ``path`` need not exist yet."""

    path: Path

    @property
    def bases(self) -> Path:
        return self.path / "base"

    @property
    def layers(self) -> Path:
        return self.path / "layers"

    @property
    def uppers(self) -> Path:
        return self.path / "up"

    @property
    def temporary(self) -> Path:
        return self.path / "tmp"

    @property
    def trash(self) -> Path:
        return self.path / "trash"

    def create(self) -> None:
        """Make the folders, closed to everyone else: what is inside belongs to machines."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in (self.bases, self.layers, self.uppers, self.temporary, self.trash):
            folder.mkdir(exist_ok=True, mode=0o711)

    def base(self, fingerprint: str) -> Path:
        return self.bases / short_key(fingerprint)

    def layer(self, layer_id: str) -> Path:
        return self.layers / layer_key(layer_id)

    def upper(self, machine_id: str) -> Path:
        return self.uppers / checked_name(machine_id)

    def scratch(self) -> Path:
        """A fresh name in the temporary folder, on the same file system as everything else."""
        return self.temporary / secrets.token_hex(8)


def short_key(name: str) -> str:
    """Ten characters for any name: every layer's path must fit, all together, into one page of mount options."""
    return base64.b32encode(hashlib.sha256(name.encode()).digest()).decode().lower()[:10]


def layer_key(layer_id: str) -> str:
    """The folder name of a layer; see :func:`is_snapshot_key`."""
    key = short_key(layer_id)
    return _SNAPSHOT_MARK + key[1:] if layer_id.startswith(SNAPSHOT_PREFIX) else key


def is_snapshot_key(key: str) -> bool:
    """Whether a layer's folder holds a snapshot, and not something that a build could make again."""
    return key.startswith(_SNAPSHOT_MARK)


def checked_name(name: str) -> str:
    """``name`` if it can be a file name on its own; raises ValueError otherwise."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"not a usable machine id: {name!r}")
    return name
