"""Connections that the supervisor hands to the engine's relay."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from ipaddress import IPv4Address

import pytest

from nexus.local.isolation.base import NetworkPolicy, RelayAddress
from nexus.local.network import diversion
from nexus.local.network.control import policy_from_json, policy_to_json
from nexus.local.network.diversion import Diversion
from nexus.local.network.dns_messages import addresses_in, answer, question_of
from tests.local.network.conftest import Machines

NAME = "api.example.test"
QUERY = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03api\x07example\x04test\0"
CONNECT = """
    import socket, sys
    with socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=60) as connection:
        connection.sendall(b"hello")
        print(connection.recv(100).decode())
"""


@pytest.fixture
async def relay(machines: Machines) -> AsyncIterator[list[tuple[Diversion, bytes]]]:
    """Answers for every destination, and remembers what it was told."""
    told: list[tuple[Diversion, bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = diversion.LENGTH.unpack(await reader.readexactly(diversion.LENGTH.size))
        first = diversion.decode(await reader.readexactly(length))
        told.append((first, await reader.readexactly(5)))
        writer.write(b"from the relay")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    machines.supervisor.set_relay(RelayAddress(port=server.sockets[0].getsockname()[1], token="t0ken"))
    yield told
    server.close()


async def test_with_a_proxy_every_connection_goes_to_the_relay(
    machines: Machines, relay: list[tuple[Diversion, bytes]], host_address: str
) -> None:
    said = await machines.run(CONNECT, host_address, "4711", policy=NetworkPolicy(relay_all=True))
    assert said == "from the relay"
    ((first, payload),) = relay
    assert (first.token, first.machine, first.host, first.port) == ("t0ken", "m0", host_address, 4711)
    assert payload == b"hello"


async def test_names_with_rules_go_there_and_others_do_not(
    machines: Machines, relay: list[tuple[Diversion, bytes]], host_address: str, echo: tuple[str, int]
) -> None:
    machines.supervisor.set_stand_ins({NAME: host_address})
    policy = NetworkPolicy(relayed_hosts=(NAME,))
    assert await machines.run(CONNECT, NAME, str(echo[1]), policy=policy) == "from the relay"
    assert relay[0][0].names == (NAME,)
    # The same address under no name, on a port that is no web server's.
    direct = CONNECT.replace('b"hello"', 'b"hello\\n"')
    assert await machines.run(direct, host_address, str(echo[1]), policy=policy) == "echo hello"
    assert len(relay) == 1


async def test_without_a_relay_such_connections_are_refused(machines: Machines, host_address: str) -> None:
    script = f"import socket\nprint(socket.socket().connect_ex(('{host_address}', 4711)))"
    assert await machines.run(script, policy=NetworkPolicy(relay_all=True)) == "111"


async def test_what_is_denied_does_not_reach_the_relay(
    machines: Machines, relay: list[tuple[Diversion, bytes]], host_address: str
) -> None:
    policy = NetworkPolicy(relay_all=True, deny_out=(host_address,))
    script = f"import socket\nprint(socket.socket().connect_ex(('{host_address}', 4711)))"
    assert await machines.run(script, policy=policy) == "13"
    assert relay == []


def test_policies_of_earlier_versions_are_understood() -> None:
    policy = NetworkPolicy(allow_out=("a.test",), relayed_hosts=("b.test",), relay_all=True)
    assert policy_from_json(policy_to_json(policy)) == policy
    earlier = {"internet": True, "allow_out": ["a.test"], "deny_out": []}
    assert policy_from_json(earlier) == NetworkPolicy(allow_out=("a.test",))


def test_stand_ins_answer_for_ipv4_alone() -> None:
    address = IPv4Address("127.77.0.5")
    reply = answer(QUERY + b"\0\x01\0\x01", address)
    assert question_of(reply).name == NAME
    assert [found for found, _ttl in addresses_in(reply)] == [address]
    assert list(addresses_in(answer(QUERY + b"\0\x1c\0\x01", address))) == []
