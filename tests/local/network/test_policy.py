"""Policies, names and forwards, enforced on real machines."""

from __future__ import annotations

import asyncio
import socket
import struct

import pytest

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.network import dns_messages
from nexus.local.network.nameserver import HostResolvers
from nexus.local.network.served_machines import Supervisor

pytestmark = pytest.mark.engine

TRY = """
import errno, socket, sys
result = socket.socket().connect_ex((sys.argv[1], int(sys.argv[2])))
print(errno.errorcode.get(result, result))
"""

EVERYTHING = ("0.0.0.0/0",)


@pytest.mark.parametrize(
    ("policy", "result"),
    [
        (NetworkPolicy(), "0"),
        (NetworkPolicy(internet=False), "ENETUNREACH"),
        (NetworkPolicy(deny_out=EVERYTHING), "ENETUNREACH"),
        (NetworkPolicy(deny_out=("HOST",)), "EACCES"),
        (NetworkPolicy(deny_out=("HOST/24",)), "EACCES"),
        (NetworkPolicy(deny_out=EVERYTHING, allow_out=("HOST",)), "0"),
        (NetworkPolicy(internet=False, allow_out=("HOST/32",)), "0"),
        (NetworkPolicy(deny_out=("8.8.8.8",)), "0"),
    ],
)
async def test_rules_decide_what_is_reached(machines, echo, policy, result):
    def fill(rules: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(rule.replace("HOST", echo[0]) for rule in rules)

    policy = NetworkPolicy(internet=policy.internet, allow_out=fill(policy.allow_out), deny_out=fill(policy.deny_out))
    assert await machines.run(TRY, *map(str, echo), policy=policy) == result


async def test_policy_is_replaced_while_the_machine_runs(machines, echo):
    inside = await machines.python(
        """
        import errno, socket, sys
        for _ in sys.stdin:
            result = socket.socket().connect_ex((sys.argv[1], int(sys.argv[2])))
            print(errno.errorcode.get(result, result), flush=True)
        """,
        *map(str, echo),
    )
    heard = []
    for policy in (NetworkPolicy(), NetworkPolicy(internet=False), NetworkPolicy(deny_out=(echo[0],)), NetworkPolicy()):
        machines.supervisor.update(inside.id, policy)
        await inside.say("try")
        heard.append(await inside.hear())
    assert heard == ["0", "ENETUNREACH", "EACCES", "0"]


async def test_bad_rule_leaves_the_rules_as_they_were(machines, echo):
    inside = await machines.python("input()\n" + TRY.strip(), *map(str, echo))
    with pytest.raises(ValueError, match="deny_out"):
        machines.supervisor.update(inside.id, NetworkPolicy(deny_out=("example.com",)))
    await inside.say("go")
    assert await inside.output() == "0"


async def test_forward_addresses_lead_to_the_engine_and_nowhere_else(machines):
    engine = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.77.0.9", 0)
    other = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.77.0.9", 0)
    port, other_port = (str(server.sockets[0].getsockname()[1]) for server in (engine, other))
    machines.supervisor.set_forward_port(int(port))
    assert await machines.run(TRY, "127.77.0.9", port) == "0"
    assert await machines.run(TRY, "127.77.0.9", other_port) == "ECONNREFUSED"
    assert await machines.run(TRY, "127.0.0.1", port) == "ECONNREFUSED"
    assert await machines.run(TRY, "127.77.0.9", port, policy=NetworkPolicy(internet=False)) == "ECONNREFUSED"
    machines.supervisor.set_forward_port(None)
    assert await machines.run(TRY, "127.77.0.9", port) == "ECONNREFUSED"
    engine.close()
    other.close()


class Zone(asyncio.DatagramProtocol):
    """A nameserver that answers every A query with one address; over UDP, ``big.*`` only as truncated."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.asked: list[str] = []
        self.drop_next = 0

    def answer(self, query: bytes, *, stream: bool) -> bytes:
        question = dns_messages.question_of(query)
        self.asked.append(question.name)
        kind = struct.unpack_from("!H", query, question.end - 4)[0]
        truncated = question.name.startswith("big.") and not stream
        records = b""
        if kind == 1 and not truncated:
            records = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4) + socket.inet_aton(self.address)
        flags = 0x8180 | (0x0200 if truncated else 0)
        header = struct.pack("!HHHHHH", question.id, flags, 1, bool(records), 0, 0)
        return header + query[12 : question.end] + records

    def connection_made(self, transport) -> None:
        self.transport = transport

    def datagram_received(self, data, addr) -> None:
        if self.drop_next:
            self.drop_next -= 1
        else:
            self.transport.sendto(self.answer(data, stream=False), addr)

    async def serve_stream(self, reader, writer) -> None:
        query = await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
        answer = self.answer(query, stream=True)
        writer.write(len(answer).to_bytes(2, "big") + answer)
        writer.close()


@pytest.fixture
async def zone(machines, host_address, tmp_path):
    """The machines' names come from a zone of this test."""
    zone = Zone(host_address)
    loop = asyncio.get_running_loop()
    server = await asyncio.start_server(zone.serve_stream, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: zone, ("127.0.0.1", port))
    path = tmp_path / "host-resolv.conf"
    path.write_text("# comment\nnameserver 127.0.0.1\n")
    machines.supervisor = Supervisor(machines.host, HostResolvers(path, port))
    yield zone
    machines.supervisor.close()
    transport.close()
    server.close()


RESOLVE = """
import errno, socket, sys
for name in sys.argv[2:]:
    try:
        address = socket.getaddrinfo(name, 80, socket.AF_INET)[0][4][0]
        result = socket.socket().connect_ex((address, int(sys.argv[1])))
        print(name, errno.errorcode.get(result, result))
    except socket.gaierror:
        print(name, "unknown")
"""


async def test_names_resolve_through_the_hosts_resolvers(machines, zone, echo):
    assert await machines.run(RESOLVE, str(echo[1]), "any.test") == "any.test 0"


async def test_long_answers_come_over_tcp(machines, zone, echo):
    assert await machines.run(RESOLVE, str(echo[1]), "big.test") == "big.test 0"


async def test_a_lost_packet_is_asked_for_again(machines, zone, echo):
    zone.drop_next = 1
    assert await machines.run(RESOLVE, str(echo[1]), "lost.test") == "lost.test 0"


async def test_allowed_domains_resolve_and_are_reached_while_others_are_not(machines, zone, echo):
    policy = NetworkPolicy(deny_out=EVERYTHING, allow_out=("good.test", "*.wild.test"))
    names = ("bad.test", "good.test", "GOOD.test", "a.wild.test", "wild.test", "notwild.test")
    out = await machines.run(RESOLVE, str(echo[1]), *names, policy=policy)
    assert out.splitlines() == [
        "bad.test unknown",
        "good.test 0",
        "GOOD.test 0",
        "a.wild.test 0",
        "wild.test unknown",
        "notwild.test unknown",
    ]
    assert set(zone.asked) == {"good.test", "a.wild.test"}


async def test_an_address_that_no_allowed_name_led_to_is_denied(machines, zone, echo):
    policy = NetworkPolicy(deny_out=EVERYTHING, allow_out=("good.test",))
    assert await machines.run(TRY, *map(str, echo), policy=policy) == "ENETUNREACH"


async def test_names_learned_before_a_policy_count_under_it(machines, zone, echo):
    inside = await machines.python(
        "import socket; socket.gethostbyname('good.test'); print('known', flush=True); input()\n" + TRY.strip(),
        *map(str, echo),
    )
    assert await inside.hear() == "known"
    machines.supervisor.update(inside.id, NetworkPolicy(internet=False, allow_out=("good.test",)))
    await inside.say("go")
    assert await inside.output() == "0"


async def test_without_internet_no_name_leaves_the_machine(machines, zone, echo):
    out = await machines.run(RESOLVE, str(echo[1]), "good.test", policy=NetworkPolicy(internet=False))
    assert out == "good.test unknown"
    assert zone.asked == []
