"""One side of a proxied exchange: a connection together with its HTTP/1.1 state."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TypeAlias

import h11

READ_SIZE = 128 * 1024
_MAX_HEAD = 64 * 1024

Event: TypeAlias = h11.Event | type[h11.PAUSED]


class Peer:
    """A stream and the h11 connection that reads and writes it."""

    def __init__(
        self, role: type[h11.CLIENT] | type[h11.SERVER], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.http = h11.Connection(role, max_incomplete_event_size=_MAX_HEAD)
        self.reader = reader
        self.writer = writer

    async def next_event(self) -> Event:
        """The next event of the other side. Raises h11.RemoteProtocolError or OSError."""
        while True:
            event = self.http.next_event()
            if event is not h11.NEED_DATA:
                return event  # type: ignore[return-value]
            self.http.receive_data(await self.reader.read(READ_SIZE))

    async def send(self, event: h11.Event) -> None:
        """Send an event and wait while the other side is slow. Raises h11.LocalProtocolError or OSError."""
        pieces = self.http.send_with_data_passthrough(event)
        if pieces:
            self.writer.writelines(pieces)
            await self.writer.drain()

    def abort(self) -> None:
        self.writer.transport.abort()


class UpstreamPeer(Peer):
    """The machine's side of an exchange.

    A server may answer and close before it has read the whole request. With asyncio a failed write would end the
    reading too and lose that answer, so what is sent goes through a second descriptor of the same socket.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(h11.CLIENT, reader, writer)
        self._out: socket.socket = writer.get_extra_info("socket").dup()
        self._out.setblocking(False)

    async def send(self, event: h11.Event) -> None:
        data = self.http.send(event)
        if data:
            await asyncio.get_running_loop().sock_sendall(self._out, data)

    def abort(self) -> None:
        # Shutting down reaches the connection itself, through whichever descriptor it is held.
        with contextlib.suppress(OSError):
            self._out.shutdown(socket.SHUT_RDWR)
        super().abort()

    def close(self) -> None:
        """Abort and give the second descriptor back; nothing may be sending any more."""
        self.abort()
        self._out.close()


class TlsUpstreamPeer(UpstreamPeer):
    """The machine's side of an exchange where its server speaks TLS.

    What is sent has to be encrypted, so it takes the one way there is: an answer that comes before the whole request
    was read, from a server that closes at once, may be lost.
    """

    async def send(self, event: h11.Event) -> None:
        await Peer.send(self, event)


async def splice(
    left: tuple[asyncio.StreamReader, asyncio.StreamWriter], right: tuple[asyncio.StreamReader, asyncio.StreamWriter]
) -> None:
    """Carry bytes both ways until both directions have ended, or either connection breaks."""
    tasks = [asyncio.create_task(_pump(left[0], right[1])), asyncio.create_task(_pump(right[0], left[1]))]
    try:
        await asyncio.gather(*tasks)
    except OSError:
        for _, writer in (left, right):
            writer.transport.abort()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(READ_SIZE):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        with contextlib.suppress(OSError):
            writer.write_eof()
    else:
        # TLS has no half-closed connections: the end of one direction is the end of both.
        writer.close()
