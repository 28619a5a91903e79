"""The relay by itself: who may use it, and what it does with odd connections."""

from __future__ import annotations

import asyncio
import json
import struct
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest

from nexus.local.network.diversion import Diversion, encode
from nexus.local.network.names import NamePatterns
from nexus.local.relay import Authority, HostRule, Outgoing, PlaceholderError, Relay
from nexus.local.secrets import Vault

TOKEN = "relay-token"
NAME = "api.example.test"


@dataclass
class Destination:
    """A server outside; answers each request with its head."""

    port: int = 0
    heads: list[bytes] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(head), head))
            await writer.drain()
        except asyncio.IncompleteReadError as error:
            self.heads.append(error.partial)
        finally:
            writer.close()


@dataclass
class Rig:
    port: int
    destination: Destination
    machines: dict[str, Outgoing]

    async def connect(self, *, token: str = TOKEN, machine: str = "m1", names: tuple[str, ...] = (NAME,)) -> Streams:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        told = Diversion(token=token, machine=machine, host="127.0.0.1", port=self.destination.port, names=names)
        writer.write(encode(told))
        return reader, writer


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    destination = Destination()
    server = await asyncio.start_server(destination.serve, "127.0.0.1", 0)
    destination.port = server.sockets[0].getsockname()[1]
    machines = {"m1": Outgoing(rules=[HostRule(host=NAME, headers={"X-Key": "secret"})])}
    relay = Relay(machines.get, Authority(Vault("key").signing_key("test"), "test"), TOKEN)
    yield Rig(await relay.start("127.0.0.1"), destination, machines)
    await relay.close()
    server.close()


async def ended(streams: Streams) -> bytes:
    """All that comes until the connection ends."""
    reader, writer = streams
    try:
        async with asyncio.timeout(60):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


async def ask(rig: Rig, request: bytes, **who: object) -> bytes:
    reader, writer = await rig.connect(**who)  # type: ignore[arg-type]
    writer.write(request)
    async with asyncio.timeout(60):
        head = await reader.readuntil(b"\r\n\r\n")
        size = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        body = await reader.readexactly(size)
    writer.close()
    return body


REQUEST = f"GET /x HTTP/1.1\r\nHost: {NAME}\r\nx-kEY: mine\r\n\r\n".encode()


async def test_headers_are_set_for_the_machine_that_has_the_rule(rig: Rig) -> None:
    seen = await ask(rig, REQUEST)
    assert b"X-Key: secret\r\n" in seen
    assert b"mine" not in seen


async def test_without_the_name_from_the_nameserver_nothing_is_set(rig: Rig) -> None:
    assert b"secret" not in await ask(rig, REQUEST, names=())


@pytest.mark.parametrize("who", [{"token": "wrong"}, {"token": ""}, {"machine": "m2"}])
async def test_strangers_reach_nothing(rig: Rig, who: dict[str, str]) -> None:
    streams = await rig.connect(**who)  # type: ignore[arg-type]
    streams[1].write(REQUEST)
    assert await ended(streams) == b""
    assert rig.destination.heads == []


@pytest.mark.parametrize(
    "first", [b"\xff\xff{", b"\x00\x02{}", b"\x00\x04null", b"\x00\x03{[}", struct.pack("!H", 40) + b'{"token":"x"}']
)
async def test_what_is_no_diversion_is_dropped(rig: Rig, first: bytes) -> None:
    streams = await asyncio.open_connection("127.0.0.1", rig.port)
    streams[1].write(first)
    streams[1].write_eof()
    assert await ended(streams) == b""
    assert rig.destination.heads == []


async def test_other_protocols_pass_as_they_are(rig: Rig) -> None:
    reader, writer = await rig.connect()
    writer.write(b"SSH-2.0-test\r\nmore")
    writer.write_eof()
    await ended((reader, writer))
    assert rig.destination.heads == [b"SSH-2.0-test\r\nmore"]


async def test_several_requests_share_a_connection(rig: Rig) -> None:
    reader, writer = await rig.connect()
    for _ in range(3):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()
    assert len(rig.destination.heads) == 3


async def test_a_value_with_a_line_break_is_never_sent(rig: Rig) -> None:
    rule = HostRule(host=NAME, headers={"X-Key": "${e2b.secrets.key}"})
    rig.machines["m1"] = Outgoing(rules=[rule], fill=lambda _text: "a\r\nX-Other: b")
    told = json.loads(await ask(rig, REQUEST))
    assert told["code"] == 502
    assert "X-Other" not in told["message"]
    assert rig.destination.heads == []


async def test_what_cannot_be_filled_is_told_and_not_sent(rig: Rig) -> None:
    def fill(_text: str) -> str:
        raise PlaceholderError("secret 'key' does not exist")

    rig.machines["m1"] = Outgoing(rules=[HostRule(host=NAME, headers={"X-Key": "v"})], fill=fill)
    assert "secret 'key' does not exist" in json.loads(await ask(rig, REQUEST))["message"]
    assert rig.destination.heads == []


async def test_a_destination_that_is_not_there_is_told_where_http_is_spoken(rig: Rig) -> None:
    rig.destination.port = 1
    assert json.loads(await ask(rig, REQUEST))["code"] == 502
    streams = await rig.connect(names=())
    streams[1].write(b"GET / HTTP/1.1\r\nHost: other.test\r\n\r\n")
    assert await ended(streams) == b""


def test_the_closest_rule_applies() -> None:
    rules = [HostRule(host=host, headers={"X": "v"}) for host in ("*.test", "*.example.test", "API.example.test")]
    outgoing = Outgoing(rules=[*rules, HostRule(host="none.test")], allowed=NamePatterns())
    for name, expected in (("api.example.test.", 2), ("www.example.test", 1), ("other.test", 0), ("none.test", 0)):
        assert outgoing.rule_for(name, 443) is rules[expected]
    assert outgoing.rule_for("test", 443) is None
