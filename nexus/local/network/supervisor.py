"""The egress supervisor: one small process outside all machines that answers their stopped network calls.

``python -m nexus.local.network.supervisor PATH`` listens for daemons on the Unix socket PATH. It outlives them, because
machines do: the notification descriptors live here. It ends when it has no machine and no daemon is connected.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import select
import socket
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import control
from nexus.local.network.control import Packet
from nexus.local.network.egress import Egress
from nexus.local.network.nameserver import HostResolvers, Nameserver
from nexus.local.network.namespace import EgressHandles
from nexus.local.network.notifications import Listener
from nexus.local.network.rules import EgressRules
from nexus.local.network.verdicts import HostView, NameMemory

_BATCH: Final = 16
_LINGER: Final = 10.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Served:
    listener: Listener
    egress: Egress
    nameserver: Nameserver


class Supervisor:
    """The machines being served, in one event loop."""

    def __init__(self, host: HostView | None = None, resolvers: HostResolvers | None = None) -> None:
        self._host = host or HostView()
        self._resolvers = resolvers or HostResolvers()
        self._machines: dict[str, _Served] = {}
        self.changed = asyncio.Event()

    @property
    def machines(self) -> list[str]:
        return sorted(self._machines)

    async def add(self, machine_id: str, handles: EgressHandles, policy: NetworkPolicy) -> None:
        """Serve a machine from now on; takes the descriptors over. Raises ValueError for a bad rule."""
        listener = Listener(handles.notify)
        udp, tcp = socket.socket(fileno=handles.dns_udp), socket.socket(fileno=handles.dns_tcp)
        try:
            rules = EgressRules.compile(policy)
        except ValueError:
            listener.close()
            udp.close()
            tcp.close()
            raise
        names = NameMemory()
        egress = Egress(listener, rules, names, self._host)
        nameserver = Nameserver(udp, tcp, resolvers=self._resolvers, names=names, rules=lambda: egress.rules)
        await nameserver.start()
        self.remove(machine_id)
        self._machines[machine_id] = _Served(listener=listener, egress=egress, nameserver=nameserver)
        asyncio.get_running_loop().add_reader(listener.fileno(), self._on_ready, machine_id)

    def update(self, machine_id: str, policy: NetworkPolicy) -> None:
        """Replace a machine's rules. Raises KeyError for an unknown machine, ValueError for a bad rule."""
        served = self._machines[machine_id]
        served.egress.rules = EgressRules.compile(policy)

    def remove(self, machine_id: str) -> None:
        """Stop serving a machine; its network calls fail from now on. Idempotent."""
        served = self._machines.pop(machine_id, None)
        if served is None:
            return
        asyncio.get_running_loop().remove_reader(served.listener.fileno())
        served.listener.close()
        served.nameserver.close()
        self.changed.set()

    def set_forward_port(self, port: int | None) -> None:
        """The one port of the engine's forward addresses on the host."""
        self._host.forward_port = port

    def close(self) -> None:
        for machine_id in self.machines:
            self.remove(machine_id)

    def _on_ready(self, machine_id: str) -> None:
        served = self._machines[machine_id]
        # Bounded, so that a busy machine does not keep others waiting.
        for _ in range(_BATCH):
            state = served.listener.state()
            if state & select.POLLIN:
                self._answer_next(served)
            elif state:
                # Every process of the machine is gone; the descriptor would report that for ever.
                self.remove(machine_id)
                return
            else:
                return

    def _answer_next(self, served: _Served) -> None:
        call = served.listener.receive()
        if call is None:
            return
        try:
            served.egress.handle(call)
        except Exception:
            # One call must not end the network of every machine, nor may its caller hang.
            _log.exception("a stopped call could not be answered")
            with suppress(OSError):
                served.listener.fail(call, errno.EIO)


class ControlServer:
    """Takes daemons' orders on a Unix socket, from the owner of this process alone."""

    def __init__(self, supervisor: Supervisor, path: Path) -> None:
        self._supervisor = supervisor
        self._path = path
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Serve until there is neither a machine nor a daemon for a while."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            self._bind(listening)
            accepting = asyncio.get_running_loop().create_task(self._accept(listening))
            try:
                while self._in_use or await self._becomes_used():
                    await self._supervisor.changed.wait()
                    self._supervisor.changed.clear()
            finally:
                accepting.cancel()
                self._path.unlink(missing_ok=True)
                self._supervisor.close()

    def _bind(self, listening: socket.socket) -> None:
        self._path.unlink(missing_ok=True)
        before = os.umask(0o177)
        try:
            listening.bind(str(self._path))
        finally:
            os.umask(before)
        listening.listen(16)
        listening.setblocking(False)

    @property
    def _in_use(self) -> bool:
        return bool(self._connections or self._supervisor.machines)

    async def _becomes_used(self) -> bool:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LINGER):
                while not self._in_use:
                    self._supervisor.changed.clear()
                    await self._supervisor.changed.wait()
        return self._in_use

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            connection, _ = await loop.sock_accept(listening)
            if not _is_owner(connection):
                connection.close()
                continue
            self._connections.add(connection)
            self._supervisor.changed.set()
            task = loop.create_task(self._converse(connection))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _converse(self, connection: socket.socket) -> None:
        try:
            while True:
                await _readable(connection)
                data, fds = control.receive(connection)
                if not data:
                    return
                reply = await self._reply(data, fds)
                await asyncio.get_running_loop().sock_sendall(connection, control.encode(reply))
        except OSError:
            return
        finally:
            connection.close()
            self._connections.discard(connection)
            self._supervisor.changed.set()

    async def _reply(self, data: bytes, fds: list[int]) -> Packet:
        try:
            return await self._obey(control.decode(data), fds)
        except KeyError:
            return {"error": "no such machine"}
        except (ValueError, OSError) as error:
            return {"error": str(error)}

    async def _obey(self, request: Packet, fds: list[int]) -> Packet:
        match request:
            case {"operation": "add", "machine": str(machine), "policy": policy} if len(fds) == 3:
                handles = EgressHandles(notify=fds[0], dns_udp=fds[1], dns_tcp=fds[2])
                await self._supervisor.add(machine, handles, control.policy_from_json(policy))
                return {}
            case _ if fds:
                control.close_all(fds)
                raise ValueError("unexpected descriptors")
            case {"operation": "update", "machine": str(machine), "policy": policy}:
                self._supervisor.update(machine, control.policy_from_json(policy))
                return {}
            case {"operation": "remove", "machine": str(machine)}:
                self._supervisor.remove(machine)
                return {}
            case {"operation": "forward", "port": int() | None as port}:
                self._supervisor.set_forward_port(port)
                return {}
            case {"operation": "machines"}:
                return {"machines": self._supervisor.machines}
            case _:
                raise ValueError("unknown operation")


def _is_owner(connection: socket.socket) -> bool:
    size = struct.calcsize("=iII")
    _pid, uid, _gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.getuid())


async def _readable(sock: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = loop.create_future()

    def settle() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(sock, settle)
    try:
        await ready
    finally:
        loop.remove_reader(sock)


async def _serve(path: Path) -> None:
    await ControlServer(Supervisor(), path).run()


def run(path: Path) -> None:
    """Serve on the Unix socket ``path`` until no longer needed. Returns at once when another supervisor has it."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    else:
        asyncio.run(_serve(path))
    finally:
        os.close(lock)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(name)s: %(message)s")
    run(Path(sys.argv[1]))
