"""A running machine, as the daemon holds it: a handle on the machine's three sockets. Making one costs nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nexus.local.isolation.base import Limits, NetworkPolicy, Usage
from nexus.local.isolation.keeper_client import MachineError, MachineGoneError, ask_keeper
from nexus.local.isolation.outbound import Outbound
from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.network import SupervisorError
from nexus.local.storage.layers import disk_usage
from nexus.local.storage.layout import Store
from nexus.local.waiting import readable

_DISK_SAMPLE_SECONDS: Final = 5.0
_DIAL_LIMIT: Final = 10.0
_LARGEST_REPLY: Final = 1 << 16


class NamespaceMachine:
    """The :class:`~nexus.local.isolation.base.Machine` of every tier that uses namespaces."""

    def __init__(
        self, folder: RuntimeFolder, store: Store, description: Mapping[str, object], outbound: Outbound | None
    ) -> None:
        self._id = str(description["id"])
        self._pid = int(str(description["init"]))
        self._limits = Limits(**description["limits"])  # type: ignore[arg-type]
        self._folder = folder
        self._store = store
        self._outbound = outbound
        self._last_cpu: tuple[float, float] | None = None
        self._disk: tuple[float, int] | None = None

    @property
    def id(self) -> str:
        return self._id

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def envd_socket(self) -> Path:
        return self._folder.envd

    @property
    def limits(self) -> Limits:
        return self._limits

    async def dial(self, port: int) -> socket.socket:
        """See :meth:`nexus.local.isolation.base.Machine.dial`. Other failures are OSError, MachineGoneError."""
        loop = asyncio.get_running_loop()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.setblocking(False)
            try:
                async with asyncio.timeout(_DIAL_LIMIT):
                    await loop.sock_connect(line, str(self._folder.ports))
                    await loop.sock_sendall(line, f"{port}\n".encode())
                    await readable(line)
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise MachineGoneError(f"machine {self._id} has ended") from error
            answer, descriptors, _, _ = socket.recv_fds(line, 16, 1, socket.MSG_CMSG_CLOEXEC)
        if descriptors:
            connected = socket.socket(fileno=descriptors[0])
            connected.setblocking(False)
            return connected
        if not answer:
            raise MachineGoneError(f"machine {self._id} has ended")
        number = int(answer)
        raise OSError(number, f"port {port} of machine {self._id}: {os.strerror(number)}")

    async def pause(self) -> None:
        await self._order("pause")

    async def resume(self) -> None:
        await self._order("resume")

    async def kill(self) -> None:
        """See :meth:`nexus.local.isolation.base.Machine.kill`. A machine that has ended already is fine."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._folder.control))
        except (FileNotFoundError, ConnectionRefusedError):
            return
        try:
            writer.write(b"kill\n")
            # The keeper holds the connection until everything of the machine is gone.
            while await reader.read(_LARGEST_REPLY):
                pass
        except ConnectionError:
            return
        finally:
            writer.close()

    async def usage(self) -> Usage:
        accounts = await self._order("accounts")
        disk = await self._disk_used()
        disk_total = os.statvfs(self._store.path)
        return Usage(
            cpu_count=self._limits.cpu_count,
            cpu_used_pct=self._cpu_percentage(float(str(accounts["at"])), float(str(accounts["cpu_seconds"]))),
            mem_used=int(str(accounts["memory"])),
            mem_total=self._limits.memory_mb * 1024 * 1024,
            mem_cache=int(str(accounts["cache"])),
            disk_used=disk,
            disk_total=disk_total.f_blocks * disk_total.f_frsize,
        )

    async def set_network(self, policy: NetworkPolicy) -> None:
        """See :meth:`nexus.local.isolation.base.Machine.set_network`. Raises ValueError for a rule that is none."""
        if self._outbound is None:
            raise MachineError("this host cannot give machines a network, so there are no rules to set")
        try:
            await self._outbound.update(self._id, policy)
        except SupervisorError as error:
            raise MachineError(f"the network rules of machine {self._id} could not be changed: {error}") from error

    def _cpu_percentage(self, at: float, seconds: float) -> float:
        last, self._last_cpu = self._last_cpu, (at, seconds)
        if last is None or at <= last[0]:
            return 0.0
        return max(0.0, (seconds - last[1]) / (at - last[0]) * 100)

    async def _disk_used(self) -> int:
        now = time.monotonic()
        if self._disk is None or now - self._disk[0] > _DISK_SAMPLE_SECONDS:
            used = await asyncio.to_thread(disk_usage, self._store.upper(self._id))
            self._disk = (now, used)
        return self._disk[1]

    async def _order(self, order: str) -> Mapping[str, object]:
        reply = await ask_keeper(self._folder, order)
        if "error" in reply:
            raise MachineError(f"machine {self._id}: {reply['error']}")
        return reply
