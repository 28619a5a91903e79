"""Small TCP servers that stand for programs listening inside a sandbox."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from tests.local.envd.harness import Cloud

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextmanager
def serving(cloud: Cloud, handler: Handler, tls: ssl.SSLContext | None = None) -> Iterator[int]:
    """Run ``handler`` for each connection to the port that is yielded."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handler(reader, writer)
        except OSError:
            pass
        finally:
            writer.close()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(handle, "127.0.0.1", 0, ssl=tls)

    async def stop(server: asyncio.Server) -> None:
        server.close()

    server = cloud.thread.run(start())
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        cloud.thread.run(stop(server))


async def dump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the request's own head, byte for byte."""
    head = await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(head) + head)
    await writer.drain()


async def switch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Switch protocols, greet at once, then send everything back in upper case."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"upgrade: websocket" in head.lower()
    writer.write(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\ngreeting;")
    while data := await reader.read(1000):
        writer.write(data.upper())
        await writer.drain()
    writer.write(b";bye")
    await writer.drain()


async def echo_chunks(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send each chunk of the request's body back before the next one is read."""
    head = await reader.readuntil(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head.lower()
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while size := int(await reader.readline(), 16):
        data = await reader.readexactly(size)
        await reader.readline()
        writer.write(b"%x\r\n%s\r\n" % (size, data))
        await writer.drain()
    writer.write(b"0\r\n\r\n")
    await writer.drain()
