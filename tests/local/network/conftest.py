"""Real machines for the egress tests: process trees in network namespaces, served by a supervisor in this loop."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import cast

import pytest

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import DNS_ADDRESS, EgressHandles, probe_egress, take_handles
from nexus.local.network.nameserver import HostResolvers
from nexus.local.network.served_machines import Supervisor
from nexus.local.network.verdicts import HostView

INSIDE = Path(__file__).with_name("inside.py")
ROOT = Path(__file__).parents[3]
DEADLINE = 60.0


def own_address() -> str | None:
    """An address of this host that is not loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            sock.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return str(sock.getsockname()[0])


def _kernel_has_ipv6() -> bool:
    try:
        socket.socket(socket.AF_INET6).close()
    except OSError:
        return False
    return True


HAS_IPV6 = _kernel_has_ipv6()
"""Whether programs can have such sockets at all, be they connected to anything or not."""
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this kernel has no IPv6")


@pytest.fixture(scope="session")
def host_address() -> str:
    address = own_address()
    if address is None or ip_address(address).is_loopback:
        pytest.skip("this host has no address but loopback")
    return address


@pytest.fixture(scope="session", autouse=True)
def needs_egress(request: pytest.FixtureRequest) -> None:
    if os.geteuid() != 0 and Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists():
        pytest.skip("neither root nor unprivileged user namespaces")
    finding = probe_egress()
    if not finding.available:
        pytest.skip(finding.reason)


@dataclass
class Inside:
    """A command that runs as a machine."""

    id: str
    process: asyncio.subprocess.Process
    handles: EgressHandles

    async def output(self) -> str:
        """What it printed, once it has ended well."""
        async with asyncio.timeout(DEADLINE):
            out, err = await self.process.communicate()
        assert self.process.returncode == 0, err.decode() + out.decode()
        return out.decode().strip()

    async def say(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        await self.process.stdin.drain()

    async def hear(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(DEADLINE):
            return (await self.process.stdout.readline()).decode().strip()


@dataclass
class Machines:
    """Starts commands as machines of one supervisor."""

    supervisor: Supervisor
    host: HostView
    resolv_conf: Path
    started: list[Inside] = field(default_factory=list)

    async def start(self, command: Sequence[str], policy: NetworkPolicy | None = None) -> Inside:
        inside, release = await launch(f"m{len(self.started)}", command, self.resolv_conf)
        self.started.append(inside)
        await self.supervisor.add(inside.id, inside.handles, policy or NetworkPolicy())
        release()
        return inside

    async def python(self, script: str, *args: str, policy: NetworkPolicy | None = None) -> Inside:
        return await self.start([sys.executable, "-c", textwrap.dedent(script), *args], policy)

    async def run(self, script: str, *args: str, policy: NetworkPolicy | None = None) -> str:
        return await (await self.python(script, *args, policy=policy)).output()

    async def gone(self, machine_id: str) -> None:
        """Wait until the supervisor has dropped a machine."""
        async with asyncio.timeout(DEADLINE):
            while machine_id in self.supervisor.machines:
                self.supervisor.changed.clear()
                await self.supervisor.changed.wait()


async def launch(machine_id: str, command: Sequence[str], resolv_conf: Path) -> tuple[Inside, Callable[[], None]]:
    """Start a machine up to the point where its supervisor must be told; the second value lets it go on."""
    numbers, told = os.pipe()
    go, say_go = os.pipe()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(INSIDE),
        str(told),
        str(go),
        str(resolv_conf),
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        pass_fds=(told, go),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    os.close(told)
    os.close(go)
    reply = await asyncio.to_thread(os.read, numbers, 100)
    os.close(numbers)
    if not reply:
        assert process.stderr is not None
        raise RuntimeError((await process.stderr.read()).decode())
    notify, udp, tcp = (int(number) for number in reply.split())
    handles = take_handles(process.pid, EgressHandles(notify=notify, dns_udp=udp, dns_tcp=tcp))

    def release() -> None:
        os.write(say_go, b"1")
        os.close(say_go)

    return Inside(machine_id, process, handles), release


@pytest.fixture
def resolv_conf(tmp_path: Path) -> Path:
    path = tmp_path / "resolv.conf"
    path.write_text(f"nameserver {DNS_ADDRESS}\n")
    return path


@pytest.fixture
async def machines(resolv_conf: Path, host_address: str) -> AsyncIterator[Machines]:
    """The host's own address counts as reachable here: it stands in for the world outside."""
    host = HostView(reachable=frozenset({ip_address(host_address)}))
    supervisor = Supervisor(host, HostResolvers())
    found = Machines(supervisor, host, resolv_conf)
    yield found
    supervisor.close()
    for inside in found.started:
        with suppress(ProcessLookupError):
            inside.process.kill()
        await inside.process.wait()
        inside.process._transport.close()  # type: ignore[attr-defined]


@pytest.fixture
async def echo(host_address: str) -> AsyncIterator[tuple[str, int]]:
    """A TCP server outside that sends each line back."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(b"echo " + line)
        writer.close()

    server = await asyncio.start_server(serve, host_address, 0, backlog=512)
    yield server.sockets[0].getsockname()
    server.close()


class _Echo(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.transport.sendto(b"echo " + data, addr)


@pytest.fixture
async def udp_echoes(host_address: str) -> AsyncIterator[list[tuple[str, int]]]:
    """Two UDP servers outside."""
    loop = asyncio.get_running_loop()
    transports = [(await loop.create_datagram_endpoint(_Echo, (host_address, 0)))[0] for _ in range(2)]
    yield [transport.get_extra_info("sockname") for transport in transports]
    for transport in transports:
        transport.close()
