"""What a machine is, whatever tier makes it: the one protocol between the lifecycle above and the kernel below.

A *machine* is the isolated root file system, process tree and network of one sandbox (or of one step of a template
build). Its PID 1 is envd, forked from a warm process, serving HTTP/1.1 on a Unix socket. Machines outlive the daemon.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from nexus.local.envd.config import EnvdConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPolicy:
    """What a machine may reach. Rules are E2B's: allow beats deny, domains only in ``allow_out``.

    Connections to ``relayed_hosts`` (names, or names with one leading wildcard) go by way of the engine's relay; with
    ``relay_all`` every TCP connection does.
    """

    internet: bool = True
    allow_out: tuple[str, ...] = ()
    deny_out: tuple[str, ...] = ()
    relayed_hosts: tuple[str, ...] = ()
    relay_all: bool = False

    @property
    def has_rules(self) -> bool:
        """Whether it takes more than having a network or none."""
        return bool(self.allow_out or self.deny_out or self.relayed_hosts or self.relay_all)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayAddress:
    """Where the engine's relay listens on the host's loopback, and what proves that a connection is sent to it."""

    port: int
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Upper bounds of one machine; enforced where the host's cgroups allow it, reported in any case."""

    cpu_count: int = 2
    memory_mb: int = 512
    processes: int = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSpec:
    """Everything that is needed to start one machine.

    ``layers`` are ids of committed layers, lowest first (the base is implied). ``volumes`` maps an absolute path inside
    to a host directory. ``envd`` travels over a socket into the new process and is never written to disk: it holds the
    access token and environment values. ``boot_id`` is what the machine sees as the kernel's boot id, None the host's.
    """

    id: str
    hostname: str
    layers: Sequence[str] = ()
    envd: EnvdConfig
    network: NetworkPolicy = field(default_factory=NetworkPolicy)
    limits: Limits = field(default_factory=Limits)
    volumes: Mapping[str, Path] = field(default_factory=dict)
    boot_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """One sample of what a machine uses. Bytes; ``cpu_used_pct`` is 0 to 100 per core in use since the last sample."""

    cpu_count: int
    cpu_used_pct: float
    mem_used: int
    mem_total: int
    mem_cache: int
    disk_used: int
    disk_total: int


class Machine(Protocol):
    """A running or paused machine."""

    @property
    def id(self) -> str: ...

    @property
    def pid(self) -> int:
        """PID of the machine's init, as the host sees it."""

    @property
    def envd_socket(self) -> Path:
        """Unix socket on which envd serves HTTP/1.1."""

    async def dial(self, port: int) -> socket.socket:
        """A connected, non-blocking TCP socket to ``port`` on the machine's own loopback.

        Raises ConnectionRefusedError when nothing listens there.
        """

    async def pause(self) -> None:
        """Freeze every process of the machine (envd too). Idempotent; survives a restart of the daemon."""

    async def resume(self) -> None:
        """Undo :meth:`pause`. Idempotent."""

    async def kill(self) -> None:
        """End every process and wait until they are gone; the written files stay until committed or discarded."""

    async def usage(self) -> Usage: ...

    async def set_network(self, policy: NetworkPolicy) -> None:
        """Replace the egress rules; holds for connections made from now on."""


class Isolation(Protocol):
    """One way of making machines on this host."""

    @property
    def tier(self) -> str:
        """``idmap``, ``root``, ``rootless1``, …"""

    @property
    def lacks(self) -> Sequence[str]:
        """What is not kept apart, a sentence each; empty where everything is."""

    async def open(self) -> None:
        """Build the base root if it is missing or the host changed, and start the zygote."""

    async def close(self) -> None:
        """Stop the zygote. Machines go on running."""

    async def set_edge_port(self, port: int | None) -> None:
        """Which port of the host's loopback machines reach at the same port of theirs: the engine's edge, or none."""

    async def trust(self, authority: str, bundles: Sequence[str]) -> str | None:
        """Have machines trust the certificates in ``authority`` (PEM), in the usual bundles and in ``bundles``.

        Returns the path of the usual bundle in machines, None where they have none. Raises OSError.
        """

    async def set_relay(self, relay: RelayAddress | None) -> None:
        """Where connections go that a machine's policy sends to the relay; None refuses them."""

    async def set_stand_ins(self, names: Mapping[str, str]) -> None:
        """Names that every machine resolves to these IPv4 addresses."""

    async def start(self, spec: MachineSpec) -> Machine:
        """Start a machine and return when its envd answers. On failure nothing is left behind.

        A machine whose files are still in the store goes on with them, and keeps them when it cannot be started.
        """

    async def attach(self, machine_id: str) -> Machine | None:
        """The machine that an earlier daemon left running, or None when it is gone."""

    async def running(self) -> Sequence[str]:
        """Ids of all machines of this store that are alive, started by whichever daemon."""

    async def commit(self, machine_id: str, layer_id: str) -> None:
        """Turn what a killed machine wrote into layer ``layer_id`` (atomic; an existing layer wins)."""

    async def snapshot(self, machine_id: str, layer_id: str) -> None:
        """Copy what a live machine has written so far into a layer; the caller pauses it first."""

    async def has_written(self, machine_id: str) -> bool:
        """Whether the store has files of the machine."""

    async def discard(self, machine_id: str) -> None:
        """Remove what a killed machine wrote. Idempotent; returns at once, however much it is."""

    async def has_layer(self, layer_id: str) -> bool: ...

    async def drop_layers(self, needed: Collection[str], *, snapshots_only: bool, measure: bool = False) -> int:
        """Remove every layer that is not ``needed``: out of sight at once, away from the disk later.

        With ``snapshots_only`` those stay that a build could make again. Returns the bytes they took when ``measure``
        asks for that, else 0.
        """

    @property
    def fingerprint(self) -> str:
        """Identity of the base that layers were made on; part of every layer key."""
