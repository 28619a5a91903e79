"""A SOCKS5 proxy for tests, in a thread: sends everyone to one server, and remembers what it was asked for."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass
class SocksServer:
    """``destination`` is where every connection goes; ``login`` is asked for if given."""

    destination: tuple[str, int]
    login: tuple[str, str] | None = None
    tls: ssl.SSLContext | None = None
    asked: list[tuple[str, int]] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await self._agree(reader, writer):
                await self._carry(reader, writer)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            await _close(writer)

    async def _agree(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        if self.login is None:
            writer.write(b"\x05\x00")
            return True
        if 2 not in methods:
            writer.write(b"\x05\xff")
            return False
        writer.write(b"\x05\x02")
        await reader.readexactly(1)
        name, password = [(await reader.readexactly((await reader.readexactly(1))[0])).decode() for _ in range(2)]
        self.logins.append((name, password))
        writer.write(b"\x01\x00" if (name, password) == self.login else b"\x01\x01")
        return (name, password) == self.login

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        else:
            host = ".".join(map(str, await reader.readexactly(4)))
        self.asked.append((host, int.from_bytes(await reader.readexactly(2), "big")))
        try:
            up_reader, up_writer = await asyncio.open_connection(*self.destination)
        except OSError:
            writer.write(b"\x05\x05\x00\x01" + bytes(6))
            return
        writer.write(b"\x05\x00\x00\x01" + bytes(6))
        try:
            await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        finally:
            await _close(up_writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@contextlib.contextmanager
def running(server: SocksServer) -> Iterator[SocksServer]:
    """Serve in a thread of its own while the block runs."""
    loop = asyncio.new_event_loop()
    ready = threading.Event()

    async def serve() -> None:
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=server.tls)
        server.port = listening.sockets[0].getsockname()[1]
        ready.set()
        with contextlib.suppress(asyncio.CancelledError):
            await listening.serve_forever()

    task = loop.create_task(serve())
    thread = threading.Thread(target=lambda: loop.run_until_complete(_finish(task)))
    thread.start()
    try:
        assert ready.wait(60)
        yield server
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join(60)
        loop.close()


async def _finish(task: asyncio.Task[None]) -> None:
    await asyncio.gather(task, return_exceptions=True)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for other in others:
        other.cancel()
    await asyncio.gather(*others, return_exceptions=True)
