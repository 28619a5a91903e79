"""The supervisor's side of the control socket: daemons come, give orders and go."""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Final

from nexus.local.isolation.base import RelayAddress
from nexus.local.network import control
from nexus.local.network.control import Packet
from nexus.local.network.namespace import EgressHandles
from nexus.local.network.served_machines import Supervisor
from nexus.local.waiting import readable

_LINGER: Final = 10.0


class ControlServer:
    """Takes daemons' orders on a Unix socket, from the owner of this process alone.

    ``linger``: seconds to wait for a new daemon when there is neither a machine nor a daemon.
    """

    def __init__(self, supervisor: Supervisor, path: Path, *, linger: float = _LINGER) -> None:
        self._linger = linger
        self._supervisor = supervisor
        self._path = path
        self._connections: set[socket.socket] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._edge_owner: socket.socket | None = None

    async def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        """Serve until there is neither a machine nor a daemon for a while; ``on_ready`` is called once it listens."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
            self._bind(listening)
            on_ready()
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
            async with asyncio.timeout(self._linger):
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
                await readable(connection)
                data, fds = control.receive(connection)
                if not data:
                    return
                reply = await self._reply(data, fds, connection)
                await asyncio.get_running_loop().sock_sendall(connection, control.encode(reply))
        except OSError:
            return
        finally:
            if self._edge_owner is connection:
                # With its daemon the edge is gone; somebody else of the host may be given its port.
                self._supervisor.set_edge_port(None)
            connection.close()
            self._connections.discard(connection)
            self._supervisor.changed.set()

    async def _reply(self, data: bytes, fds: list[int], connection: socket.socket) -> Packet:
        try:
            request = control.decode(data)
        except ValueError as error:
            control.close_all(fds)
            return {"error": str(error)}
        try:
            return {"id": request.get("id"), **await self._obey(request, fds, connection)}
        except KeyError:
            return {"id": request.get("id"), "error": "no such machine"}
        except (ValueError, OSError) as error:
            return {"id": request.get("id"), "error": str(error)}

    async def _obey(self, request: Packet, fds: list[int], connection: socket.socket) -> Packet:
        match request:
            case {"operation": "add", "machine": str(machine), "policy": policy} if len(fds) == 3:
                handles = EgressHandles(notify=fds[0], dns_udp=fds[1], dns_tcp=fds[2])
                try:
                    wanted = control.policy_from_json(policy)
                except ValueError:
                    handles.close()
                    raise
                await self._supervisor.add(machine, handles, wanted)
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
            case {"operation": "edge", "port": int() | None as port}:
                self._supervisor.set_edge_port(port)
                self._edge_owner = connection
                return {}
            case {"operation": "relay", "relay": None}:
                self._supervisor.set_relay(None)
                return {}
            case {"operation": "relay", "relay": {"port": int(port), "token": str(token)}}:
                self._supervisor.set_relay(RelayAddress(port=port, token=token))
                return {}
            case {"operation": "stand-ins", "names": dict(names)}:
                self._supervisor.set_stand_ins({str(name): str(address) for name, address in names.items()})
                return {}
            case {"operation": "machines"}:
                return {"machines": self._supervisor.machines}
            case _:
                raise ValueError("unknown operation")


def _is_owner(connection: socket.socket) -> bool:
    size = struct.calcsize("=iII")
    _pid, uid, _gid = struct.unpack("=iII", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    return uid in (0, os.getuid())
