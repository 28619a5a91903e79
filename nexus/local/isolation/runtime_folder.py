"""The folder of a machine's sockets, one per machine in a short folder outside of the store."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.storage.removal import remove_tree

# sun_path holds 108 bytes, the terminator included.
_LONGEST_ADDRESS: Final = 107
_BACKLOG: Final = 1024


@dataclass(frozen=True, slots=True)
class RuntimeFolder:
    """Where one machine is reached while it lives."""

    path: Path

    @classmethod
    def of(cls, runtime: Path, machine_id: str) -> RuntimeFolder:
        return cls(runtime / "m" / machine_id)

    @classmethod
    def all(cls, runtime: Path) -> list[RuntimeFolder]:
        """Those of machines that live, are being made, or have left theirs behind."""
        folder = runtime / "m"
        return [cls(entry) for entry in sorted(folder.iterdir())] if folder.is_dir() else []

    @property
    def machine_id(self) -> str:
        return self.path.name

    @property
    def envd(self) -> Path:
        """HTTP, served by the machine's init."""
        return self.path / "envd"

    @property
    def ports(self) -> Path:
        """Connected sockets to the machine's own ports, served by the porter."""
        return self.path / "ports"

    @property
    def control(self) -> Path:
        """Pause, kill and the like, served by the keeper."""
        return self.path / "control"

    @property
    def rules(self) -> Path:
        """The machine's network rules in force, for a supervisor that has to be told again."""
        return self.path / "rules"

    @property
    def stage(self) -> Path:
        """An empty folder to mount on while the machine's root is put together."""
        return self.path / "stage"

    def create(self) -> None:
        """Raises ValueError when the sockets' addresses would be too long."""
        if len(os.fsencode(self.control)) > _LONGEST_ADDRESS:
            raise ValueError(f"{self.path} is too long for Unix sockets; choose a shorter runtime folder")
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.stage.mkdir(exist_ok=True)

    def remove(self) -> None:
        remove_tree(self.path)


def listen(path: Path) -> socket.socket:
    """A listening Unix socket that only its owner can connect to."""
    path.unlink(missing_ok=True)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        listening.bind(str(path))
        listening.listen(_BACKLOG)
    except OSError:
        listening.close()
        raise
    finally:
        os.umask(before)
    return listening
