"""Shorthands for tests with real machines."""

from __future__ import annotations

import itertools
import os
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.local.envd.config import EnvdConfig
from nexus.local.guest import Command, Guest
from nexus.local.isolation.base import Limits, Machine, MachineSpec, NetworkPolicy
from nexus.local.isolation.namespaces import NamespaceIsolation

_NUMBERS = itertools.count()


@dataclass
class Places:
    """A store and a runtime folder shared by all tests of the session: the base is built once per kind of store."""

    store: Path
    runtime: Path


@dataclass
class Workshop:
    """An opened isolation, and shorthands for what tests do with it."""

    isolation: NamespaceIsolation
    places: Places
    started: list[Machine]

    async def start(
        self,
        *,
        layers: Sequence[str] = (),
        hostname: str = "e2b.local",
        machine_id: str | None = None,
        limits: Limits | None = None,
        internet: bool = False,
        volumes: dict[str, Path] | None = None,
        boot_id: str | None = None,
    ) -> Machine:
        name = machine_id or f"t{os.getpid()}x{next(_NUMBERS)}"
        machine = await self.isolation.start(
            MachineSpec(
                id=name,
                hostname=hostname,
                layers=layers,
                envd=EnvdConfig(sandbox_id=name, template_id="base", env_vars={"SECRET": "s3cr3t-value"}),
                limits=limits or Limits(),
                network=NetworkPolicy(internet=internet),
                volumes=volumes or {},
                boot_id=boot_id,
            )
        )
        self.started.append(machine)
        return machine


async def run(machine: Machine, text: str, user: str | None = None) -> tuple[int, str]:
    """A shell command inside: its exit code and everything it printed."""
    pieces: list[bytes] = []
    code = await Guest(machine.envd_socket).run(
        Command(text=text, user=user), lambda _stream, piece: pieces.append(piece)
    )
    return code, b"".join(pieces).decode()


async def output(machine: Machine, text: str, user: str | None = None) -> str:
    """What a command that must succeed printed."""
    code, printed = await run(machine, text, user)
    assert code == 0, printed
    return printed.strip()


def supervisor_pid(places: Places) -> int:
    """The process that serves the machines' network calls."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.connect(str(places.runtime / "egress"))
        credentials = line.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("=iII"))
    return int(struct.unpack("=iII", credentials)[0])


def descendants(pid: int) -> set[int]:
    """Host pids of a process and everything below it."""
    parents = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]
                )
            except OSError:
                continue
    found = {pid}
    while grown := {child for child, parent in parents.items() if parent in found} - found:
        found |= grown
    return found
