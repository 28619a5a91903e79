"""Names of ports below ``localhost``: one port of the host's loopback opens to machines, and nothing beside it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import SupervisorClient
from nexus.local.network.control_server import ControlServer
from nexus.local.network.names import NamePatterns, is_localhost
from nexus.local.network.rules import EgressRules
from tests.local.network.conftest import DEADLINE, HAS_IPV6, Machines

pytestmark = pytest.mark.engine

NAME = "3000-abc.localhost"
TRY = """
import errno, socket, sys
for address in sys.argv[2:]:
    kind = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(kind) as mine:
        result = mine.connect_ex((address, int(sys.argv[1])))
        print(errno.errorcode.get(result, result), mine.recv(100).decode() if result == 0 else "")
"""


async def tried(machines: Machines, port: str, *addresses: str, policy: NetworkPolicy | None = None) -> set[str]:
    """How connections of a machine to ``port`` of all these go, as far as the kernel knows such addresses."""
    known = [address for address in addresses if HAS_IPV6 or ":" not in address]
    return {line.strip() for line in (await machines.run(TRY, port, *known, policy=policy)).split("\n")}


async def greeter(host: str, port: int, greeting: bytes) -> asyncio.Server:
    async def greet(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(greeting)
        writer.close()

    return await asyncio.start_server(greet, host, port)


@pytest.fixture
async def edge(machines: Machines) -> AsyncIterator[str]:
    """The port of a server that stands for the edge, with others of the host around it."""
    server = await greeter("127.0.0.1", 0, b"edge")
    port: int = server.sockets[0].getsockname()[1]
    others = [await greeter(host, port, b"other") for host in ("127.0.0.2", "127.77.0.9")]
    with suppress(OSError):  # a host without IPv6, or with its loopback alone without
        others.append(await greeter("::1", port, b"other"))
    machines.supervisor.set_edge_port(port)
    yield str(port)
    for each in (server, *others):
        each.close()


async def test_both_loopback_addresses_lead_to_the_edge(machines: Machines, edge: str) -> None:
    assert await tried(machines, edge, "127.0.0.1", "::1", "::ffff:127.0.0.1") == {"0 edge"}


async def test_nothing_else_of_the_hosts_loopback_is_reached(machines: Machines, edge: str) -> None:
    there = await greeter("127.0.0.1", 0, b"other")
    port = str(there.sockets[0].getsockname()[1])
    assert await tried(machines, edge, "127.0.0.2", "0.0.0.0", "::", "127.77.0.9") == {"ECONNREFUSED"}
    assert await tried(machines, port, "127.0.0.1", "::1") == {"ECONNREFUSED"}
    there.close()


async def test_datagrams_do_not_leave(machines: Machines, edge: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as heard:
        heard.bind(("127.0.0.1", int(edge)))
        heard.setblocking(False)
        await machines.run(
            "import socket, sys\nsocket.socket(type=socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', int(sys.argv[1])))",
            edge,
        )
        with pytest.raises(BlockingIOError):
            heard.recv(10)


async def test_names_below_localhost_resolve_whatever_the_rules(machines: Machines, edge: str) -> None:
    script = "import socket, sys\nprint(socket.getaddrinfo(sys.argv[1], 80, type=socket.SOCK_STREAM)[0][4][0])"
    for policy in (NetworkPolicy(), NetworkPolicy(internet=False)):
        assert await machines.run(script, NAME, policy=policy) == "127.0.0.1"


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        (NetworkPolicy(internet=False), "ECONNREFUSED"),
        (NetworkPolicy(deny_out=("0.0.0.0/0",)), "ECONNREFUSED"),
        (NetworkPolicy(deny_out=("127.0.0.0/8",)), "ECONNREFUSED"),
        (NetworkPolicy(deny_out=("0.0.0.0/0",), allow_out=("example.com",)), "ECONNREFUSED"),
        (NetworkPolicy(deny_out=("0.0.0.0/0",), allow_out=(NAME,)), "0 edge"),
        (NetworkPolicy(deny_out=("0.0.0.0/0",), allow_out=("*.localhost",)), "0 edge"),
        (NetworkPolicy(internet=False, allow_out=("127.0.0.1",)), "0 edge"),
    ],
)
async def test_rules_hold_for_the_edge(machines: Machines, edge: str, policy: NetworkPolicy, result: str) -> None:
    assert await tried(machines, edge, "127.0.0.1", "::1", policy=policy) == {result}


async def test_a_machines_own_server_on_that_port_goes_first(machines: Machines, edge: str) -> None:
    script = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    mine = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    server.accept()[0].sendall(b"own")
    print(mine.recv(100).decode())
"""
    assert await machines.run(script, edge) == "own"


async def test_the_edge_is_closed_with_the_daemon_that_opened_it(machines: Machines, edge: str, tmp_path: Path) -> None:
    server = ControlServer(machines.supervisor, tmp_path / "egress.sock")
    listening = asyncio.Event()
    serving = asyncio.create_task(server.run(listening.set))
    async with asyncio.timeout(DEADLINE):
        await listening.wait()
        daemon, doctor = (SupervisorClient.connect(tmp_path / "egress.sock") for _ in range(2))
        await daemon.set_edge_port(int(edge))
        await doctor.machines()
        doctor.close()
        successor = SupervisorClient.connect(tmp_path / "egress.sock")
        await successor.set_edge_port(int(edge))
        daemon.close()
        await successor.machines()
        assert await tried(machines, edge, "127.0.0.1") == {"0 edge"}
        successor.close()
        while machines.host.edge_port is not None:  # noqa: ASYNC110 - the end of a connection has no event here
            await asyncio.sleep(0.01)
    assert await tried(machines, edge, "127.0.0.1") == {"ECONNREFUSED"}
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("localhost", True),
        (NAME, True),
        ("*.localhost", True),
        ("*.b.localhost", True),
        ("*", True),
        ("*.com", False),
        ("notlocalhost", False),
        ("localhost.example.com", False),
        ("*.mylocalhost", False),
    ],
)
def test_patterns_are_known_to_reach_below_localhost(pattern: str, matches: bool) -> None:
    assert NamePatterns.compile([pattern]).match_below("localhost") is matches
    rules = EgressRules.compile(NetworkPolicy(internet=False, allow_out=(pattern,)))
    assert rules.allows_localhost is matches


def test_names_that_mean_loopback() -> None:
    assert all(is_localhost(name) for name in ("localhost", "LOCALHOST.", NAME, "a.b.localhost"))
    assert not any(is_localhost(name) for name in ("", "mylocalhost", "localhost.example.com"))
