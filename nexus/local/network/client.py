"""The daemon's side of the egress supervisor."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final, Self

from nexus.local.isolation.base import NetworkPolicy, RelayAddress
from nexus.local.network import control
from nexus.local.network.control import Packet
from nexus.local.network.namespace import EgressHandles

_START_LIMIT: Final = 10.0
_POLL: Final = 0.02
_PACKAGE_PARENT: Final = Path(__file__).resolve().parents[3]


class SupervisorError(Exception):
    """The supervisor refused an order, or is gone."""


class SupervisorClient:
    """One connection to the supervisor; calls may overlap, they are sent one after the other."""

    def __init__(self, sock: socket.socket, path: Path) -> None:
        self._socket = sock
        self._path = path
        self._turn = asyncio.Lock()
        self._orders = 0

    @classmethod
    def connect(cls, path: Path) -> Self:
        """Connect to a supervisor that runs. Raises FileNotFoundError or ConnectionRefusedError when none does."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            sock.connect(str(path))
        except OSError:
            sock.close()
            raise
        sock.setblocking(False)
        return cls(sock, path)

    @classmethod
    async def ensure(cls, path: Path, *, log: Path | None = None) -> Self:
        """Connect to the supervisor at ``path``, starting one (which will outlive this process) if none runs.

        Its messages go to ``log``. Raises SupervisorError when it does not come up.
        """
        deadline = asyncio.get_running_loop().time() + _START_LIMIT
        started = False
        while asyncio.get_running_loop().time() < deadline:
            if (client := await cls._answering(path)) is not None:
                return client
            if started:
                # Another daemon's supervisor has the path: just coming up, or just ending.
                await asyncio.sleep(_POLL)
            await _start(path, log)
            started = True
        raise SupervisorError("the egress supervisor did not start")

    @classmethod
    async def _answering(cls, path: Path) -> Self | None:
        try:
            client = cls.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return None
        try:
            await client.machines()
        except SupervisorError:
            client.close()
            return None
        return client

    async def add(self, machine_id: str, handles: EgressHandles, policy: NetworkPolicy) -> None:
        """Have a machine served. The supervisor gets its own copies of the descriptors; close yours afterwards."""
        fds = [handles.notify, handles.dns_udp, handles.dns_tcp]
        policy_json = control.policy_to_json(policy)
        await self._order({"operation": "add", "machine": machine_id, "policy": policy_json}, fds)

    async def update(self, machine_id: str, policy: NetworkPolicy) -> None:
        """Replace a machine's rules for connections made from now on."""
        await self._order({"operation": "update", "machine": machine_id, "policy": control.policy_to_json(policy)})

    async def remove(self, machine_id: str) -> None:
        """Stop serving a machine. Idempotent; also happens by itself when the machine's last process ends."""
        await self._order({"operation": "remove", "machine": machine_id})

    async def set_forward_port(self, port: int | None) -> None:
        """Tell which host port the engine's forward addresses are served on; None closes them."""
        await self._order({"operation": "forward", "port": port})

    async def set_edge_port(self, port: int | None) -> None:
        """Tell which port of the host's loopback is the engine's edge; it is closed to machines when we are gone."""
        await self._order({"operation": "edge", "port": port})

    async def set_relay(self, relay: RelayAddress | None) -> None:
        """Tell where the engine's relay is; None refuses the connections that would go there."""
        body = None if relay is None else {"port": relay.port, "token": relay.token}
        await self._order({"operation": "relay", "relay": body})

    async def set_stand_ins(self, names: Mapping[str, str]) -> None:
        """Have every machine's nameserver answer these names with these IPv4 addresses, instead of asking anyone."""
        await self._order({"operation": "stand-ins", "names": dict(names)})

    async def machines(self) -> list[str]:
        """Ids of the machines being served, by whichever daemon they were added."""
        match await self._order({"operation": "machines"}):
            case {"machines": list(found)}:
                return [str(machine) for machine in found]
            case reply:
                raise SupervisorError(f"unexpected reply {sorted(reply)}")

    async def gone(self) -> None:
        """Return when the supervisor has ended."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
            line.setblocking(False)
            with suppress(OSError):
                line.connect(str(self._path))
                # It never speaks first, so whatever can be read is the end.
                await asyncio.get_running_loop().sock_recv(line, 1)

    def close(self) -> None:
        self._socket.close()

    async def _order(self, request: Packet, fds: list[int] | None = None) -> Packet:
        async with self._turn:
            self._orders += 1
            try:
                # One packet, far below the socket's buffer, and never more than one under way.
                socket.send_fds(self._socket, [control.encode({**request, "id": self._orders})], fds or [])
                reply = await self._reply_to(self._orders)
            except OSError as error:
                raise SupervisorError(f"the egress supervisor is gone: {error.strerror}") from error
        if "error" in reply:
            raise SupervisorError(str(reply["error"]))
        return reply

    async def _reply_to(self, order: int) -> Packet:
        while True:
            data = await asyncio.get_running_loop().sock_recv(self._socket, control.LARGEST_PACKET)
            if not data:
                raise SupervisorError("the egress supervisor is gone")
            reply = control.decode(data)
            # An earlier order may have been given up while it was under way; its reply comes all the same.
            if reply.get("id", order) == order:
                return reply


async def _start(path: Path, log: Path | None) -> None:
    """Run the program that leaves a supervisor behind; it ends when that one listens, or another one has the path."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # Also where nexus runs from a checkout that only this process has on its path.
    search_path = os.pathsep.join(filter(None, [str(_PACKAGE_PARENT), os.environ.get("PYTHONPATH")]))
    with (log or Path(os.devnull)).open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nexus.local.network.supervisor",
            str(path),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env={**os.environ, "PYTHONPATH": search_path},
        )
        status = await process.wait()
    if status != 0:
        raise SupervisorError(f"the egress supervisor did not start (see {log or 'its log'})")
