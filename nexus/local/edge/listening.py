"""Where the edge's connections come from: one port for plain HTTP and for TLS, told apart by the first byte."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable

from nexus.local.edge.peers import READ_SIZE
from nexus.local.ports import listen
from nexus.local.waiting import readable

_FIRST_BYTE_SECONDS = 120
_HANDSHAKE_SECONDS = 10
_TLS_HANDSHAKE = b"\x16"
# How long to wait when the process has no descriptor left for another connection.
_PAUSE_SECONDS = 0.5

OnConnection = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
TlsContext = Callable[[], ssl.SSLContext]
"""Called for every connection that wants TLS; what it makes may be kept."""


class Listener:
    """Hands every connection to ``on_connection``, which has its own task, as streams of plain bytes."""

    def __init__(self, on_connection: OnConnection, tls: TlsContext | None = None) -> None:
        self._on_connection = on_connection
        self._tls = tls
        self._sockets: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, listening: socket.socket) -> int:
        """Take what comes in at a socket that listens, which is owned from now on, and return its port.

        Where the host has IPv6, its loopback too: some programs try only the first address of a loopback name.
        """
        self._take(listening)
        port: int = listening.getsockname()[1]
        with contextlib.suppress(OSError):
            self._take(listen("::1", port, socket.AF_INET6))
        return port

    async def close(self) -> None:
        """Stop listening; connections that were handed over go on."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for listening in self._sockets:
            listening.close()

    def _take(self, listening: socket.socket) -> None:
        self._sockets.append(listening)
        self._spawn(self._accept_forever(listening))

    async def _accept_forever(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(listening)
            except OSError:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            self._spawn(self._admit(connection))

    async def _admit(self, connection: socket.socket) -> None:
        """Find out what the client speaks, then hand the connection over. One that says nothing is closed."""
        connection.setblocking(False)
        try:
            async with asyncio.timeout(_FIRST_BYTE_SECONDS):
                first = await _first_byte(connection)
            if not first:
                connection.close()
                return
            await self._hand_over(connection, self._tls() if self._tls and first == _TLS_HANDSHAKE else None)
        except (OSError, TimeoutError):
            connection.close()
        except asyncio.CancelledError:
            connection.close()
            raise

    async def _hand_over(self, connection: socket.socket, context: ssl.SSLContext | None) -> None:
        reader = asyncio.StreamReader(limit=READ_SIZE)
        protocol = asyncio.StreamReaderProtocol(reader, self._on_connection)
        limit = None if context is None else _HANDSHAKE_SECONDS
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: protocol, connection, ssl=context, ssl_handshake_timeout=limit)

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _first_byte(connection: socket.socket) -> bytes:
    """The first byte, left where it is; empty when the client has closed."""
    while True:
        try:
            return connection.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            await readable(connection)
