"""Fixed loopback addresses that lead to one port of one sandbox each.

Every forward has an address of its own in 127.77.0.0/16 and they all share one port, so the same URL works on the host
and inside other sandboxes, without name resolution and with any protocol over TCP. The sandbox is looked up when a
connection comes in, not when the forward was made, so a forward outlives a pause or a restart of the daemon. Only where
the ports of a sandbox are not public has it to be HTTP, to show the token.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from nexus.local.edge import answers
from nexus.local.edge.addressing import ENVD_PORT, Target
from nexus.local.edge.answers import Answer
from nexus.local.edge.directory import Directory
from nexus.local.edge.lookup import look_up
from nexus.local.edge.open_streams import OpenStreams
from nexus.local.edge.peers import READ_SIZE, splice

ServePort = Callable[[asyncio.StreamReader, asyncio.StreamWriter, Target], Awaitable[None]]
"""Answers HTTP for one port of a sandbox until the connection ends."""

_LAST = 255 * 256 + 254
_FIRST_BYTES_SECONDS = 1.0
_HTTP_REQUEST = re.compile(rb"[A-Z]{3,10} ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Forward:
    """``address`` leads to ``port`` of the sandbox. Records of these are enough to open them again."""

    sandbox_id: str
    port: int
    address: str


class NoAddressLeftError(Exception):
    """Every address of the range is in use."""


class ForwardTable:
    """All forwards of one engine; their listeners share ``port``.

    Connections to sandboxes that are not public are given to ``guarded``, which asks for their token.
    """

    def __init__(self, directory: Directory, streams: OpenStreams, *, port: int, guarded: ServePort) -> None:
        self._directory = directory
        self._streams = streams
        self._port = port
        self._guarded = guarded
        self._forwards: dict[tuple[str, int], Forward] = {}
        self._servers: dict[str, asyncio.Server] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._next = 1
        self._opening = asyncio.Lock()

    def url(self, forward: Forward) -> str:
        return f"http://{forward.address}:{self._port}"

    def all(self) -> list[Forward]:
        """Every open forward, for the records."""
        return list(self._forwards.values())

    async def open(self, sandbox_id: str, port: int) -> Forward:
        """The forward to that port, made if there is none. Raises OSError or :class:`NoAddressLeftError`."""
        async with self._opening:
            if (existing := self._forwards.get((sandbox_id, port))) is not None:
                return existing
            forward = Forward(sandbox_id=sandbox_id, port=port, address=self._free_address())
            await self._listen(forward)
            return forward

    async def restore(self, forwards: Iterable[Forward]) -> list[Forward]:
        """Open recorded forwards again at their old addresses; returns those that could not be opened."""
        failed = []
        async with self._opening:
            for forward in forwards:
                try:
                    await self._listen(forward)
                except OSError:
                    failed.append(forward)
        return failed

    async def close(self, sandbox_id: str) -> None:
        """Take down the forwards of a sandbox that is gone for good."""
        for key, forward in list(self._forwards.items()):
            if forward.sandbox_id == sandbox_id:
                del self._forwards[key]
                self._servers.pop(forward.address).close()

    async def shutdown(self) -> None:
        """Stop listening everywhere and cut every connection."""
        for server in self._servers.values():
            server.close()
        self._servers.clear()
        for task in list(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _free_address(self) -> str:
        for _ in range(_LAST):
            number, self._next = self._next, self._next % _LAST + 1
            address = f"127.77.{number >> 8}.{number & 255}"
            if address not in self._servers:
                return address
        raise NoAddressLeftError("all forward addresses are in use")

    async def _listen(self, forward: Forward) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._accept(forward, reader, writer)

        server = await asyncio.start_server(accept, forward.address, self._port, limit=READ_SIZE)
        self._servers[forward.address] = server
        self._forwards[(forward.sandbox_id, forward.port)] = forward

    async def _accept(self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._connections.add(task)
            task.add_done_callback(self._connections.discard)
        try:
            await self._carry(forward, reader, writer)
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()
        finally:
            writer.close()

    async def _carry(self, forward: Forward, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        route = await look_up(self._directory, forward.sandbox_id)
        if isinstance(route, Answer):
            await _explain(route, reader, writer)
            return
        if not route.ingress.public and forward.port != ENVD_PORT:
            await self._guarded(reader, writer, Target(forward.sandbox_id, forward.port))
            return
        # Registered before anything is awaited, so that a kill or pause from now on cuts this connection too.
        with self._streams.carrying(forward.sandbox_id, writer.transport.abort):
            try:
                inside = await route.machine.dial(forward.port)
            except OSError:
                await _explain(answers.port_not_open(forward.sandbox_id, forward.port), reader, writer)
                return
            up_reader, up_writer = await asyncio.open_connection(sock=inside, limit=READ_SIZE)
            try:
                with self._streams.carrying(forward.sandbox_id, up_writer.transport.abort):
                    await splice((reader, writer), (up_reader, up_writer))
            finally:
                up_writer.transport.abort()


async def _explain(answer: Answer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer in HTTP when the client speaks it; any other protocol just sees the connection close."""
    first = b""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_FIRST_BYTES_SECONDS):
            first = await reader.read(READ_SIZE)
    if _HTTP_REQUEST.match(first):
        content_type, content = answer.render("")
        writer.write(
            f"HTTP/1.1 {answer.status} Error\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
            + content
        )
        await writer.drain()
