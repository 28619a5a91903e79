"""A machine's nameserver: takes queries inside the machine, asks the host's resolvers, remembers what it told."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Final

from nexus.local.network import dns_messages
from nexus.local.network.dns_messages import ResponseCode
from nexus.local.network.names import is_localhost
from nexus.local.network.namespace import DNS_PORT
from nexus.local.network.rules import EgressRules
from nexus.local.network.verdicts import LOOPBACK, HostView, NameMemory

# Shorter than the five seconds after which programs ask again, so that a lost packet is not noticed.
_PATIENCE: Final = 1.5
_ROUNDS: Final = 3
_IDLE: Final = 30.0
_MOST_PENDING: Final = 512
_LOCALHOST: Final = ("127.0.0.1",)

RESOLV_CONF: Final = Path("/etc/resolv.conf")


class HostResolvers:
    """The nameservers of the host, read anew whenever its ``resolv.conf`` changes."""

    def __init__(self, path: Path = RESOLV_CONF, port: int = DNS_PORT) -> None:
        self.port = port
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._addresses: tuple[str, ...] = _LOCALHOST

    def addresses(self) -> tuple[str, ...]:
        """Addresses in order of preference; localhost where the host names none, as the C library does."""
        try:
            status = os.stat(self._path)  # noqa: PTH116 - once per query
            seen = (status.st_mtime_ns, status.st_ino)
            if seen != self._seen:
                self._addresses = _nameservers(self._path.read_text(errors="replace")) or _LOCALHOST
                self._seen = seen
        except OSError:
            pass
        return self._addresses


def _nameservers(text: str) -> tuple[str, ...]:
    lines = (line.split() for line in text.splitlines())
    return tuple(words[1] for words in lines if len(words) >= 2 and words[0] == "nameserver")


class Nameserver:
    """Serves the two sockets that a machine's init has bound to the nameserver address. Owns them."""

    def __init__(
        self,
        udp: socket.socket,
        tcp: socket.socket,
        *,
        resolvers: HostResolvers,
        names: NameMemory,
        rules: Callable[[], EgressRules],
        host: HostView,
    ) -> None:
        self._udp = udp
        self._tcp = tcp
        self._resolvers = resolvers
        self._names = names
        self._rules = rules
        self._host = host
        self._tasks: set[asyncio.Task[None]] = set()
        self._transport: asyncio.DatagramTransport | None = None
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._udp.setblocking(False)
        self._tcp.setblocking(False)
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: _Queries(self._on_datagram), sock=self._udp)
        self._server = await asyncio.start_server(self._on_connection, sock=self._tcp)

    def close(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        if self._transport is not None:
            self._transport.abort()
        if self._server is not None:
            self._server.close()
        self._udp.close()
        self._tcp.close()

    def _on_datagram(self, query: bytes, sender: tuple[str, int]) -> None:
        # Beyond that a query is lost, as on a busy network; the asker tries again.
        if len(self._tasks) < _MOST_PENDING:
            self._spawn(self._answer_datagram(query, sender))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer_datagram(self, query: bytes, sender: tuple[str, int]) -> None:
        with suppress(ValueError):
            answer = await self._resolve(query, _ask_by_datagram)
            if self._transport is not None and not self._transport.is_closing():
                self._transport.sendto(answer, sender)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            with suppress(OSError, ValueError, TimeoutError, asyncio.IncompleteReadError):
                while True:
                    async with asyncio.timeout(_IDLE):
                        query = await _read_framed(reader)
                    writer.write(_framed(await self._resolve(query, _ask_by_stream)))
                    await writer.drain()
        finally:
            writer.close()

    async def _resolve(self, query: bytes, ask: Callable[[bytes, str, int], Coroutine[None, None, bytes]]) -> bytes:
        """The answer to give. Raises ValueError for what is no query."""
        name = dns_messages.question_of(query).name
        if is_localhost(name):
            return dns_messages.answer(query, LOOPBACK)
        rules = self._rules()
        if not rules.resolves(name):
            return dns_messages.failure(query, ResponseCode.REFUSED)
        if (stand_in := self._host.stand_ins.get(name)) is not None:
            self._names.learn(name, stand_in, 0)
            return dns_messages.answer(query, stand_in)
        for address in self._resolvers.addresses() * _ROUNDS:
            with suppress(OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
                async with asyncio.timeout(_PATIENCE):
                    answer = await ask(query, address, self._resolvers.port)
                self._learn(name, answer)
                return answer
        return dns_messages.failure(query, ResponseCode.SERVER_FAILURE)

    def _learn(self, name: str, answer: bytes) -> None:
        # All of them, whatever the rules are now: they can be replaced while programs keep the addresses.
        for address, ttl in dns_messages.addresses_in(answer):
            self._names.learn(name, address, ttl)


class _Queries(asyncio.DatagramProtocol):
    def __init__(self, receive: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._receive = receive

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._receive(data, addr)


async def _ask_by_datagram(query: bytes, resolver: str, port: int) -> bytes:
    loop = asyncio.get_running_loop()
    asked = dns_messages.question_of(query)
    answers: asyncio.Queue[bytes] = asyncio.Queue()
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Queries(lambda data, _sender: answers.put_nowait(data)), remote_addr=(resolver, port)
    )
    try:
        transport.sendto(query)
        while True:
            answer = await answers.get()
            # A late or forged datagram is not the answer.
            if dns_messages.question_of(answer) == asked:
                return answer
    finally:
        transport.abort()


async def _ask_by_stream(query: bytes, resolver: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(resolver, port)
    try:
        writer.write(_framed(query))
        return await _read_framed(reader)
    finally:
        writer.close()


async def _read_framed(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(2), "big")
    return await reader.readexactly(length)


def _framed(message: bytes) -> bytes:
    return len(message).to_bytes(2, "big") + message
