"""Non-blocking ends of pipes and terminals on the event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable


class OutputPipe:
    """Reads one descriptor as data comes and hands the pieces on; owns and closes the descriptor."""

    def __init__(
        self, descriptor: int, *, piece: int, on_data: Callable[[bytes], None], on_close: Callable[[], None]
    ) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._piece = piece
        self._on_data = on_data
        self._on_close = on_close
        self._loop = asyncio.get_running_loop()
        self.closed = False
        self.resume()

    def pause(self) -> None:
        if not self.closed:
            self._loop.remove_reader(self._descriptor)

    def resume(self) -> None:
        if not self.closed:
            self._loop.add_reader(self._descriptor, self._read)

    def drain(self, limit: int) -> None:
        """Read what lies in the pipe at this moment, at most ``limit`` bytes, without waiting for its end."""
        taken = 0
        while not self.closed and taken < limit:
            got = self._read()
            if not got:
                return
            taken += got

    def _read(self) -> int:
        try:
            data = os.read(self._descriptor, self._piece)
        except BlockingIOError:
            return 0
        except OSError:  # EIO: the last holder of a terminal's other end is gone
            data = b""
        if data:
            self._on_data(data)
        else:
            self.close()
        return len(data)

    def close(self) -> None:
        if self.closed:
            return
        self._loop.remove_reader(self._descriptor)
        self.closed = True
        os.close(self._descriptor)
        self._on_close()


class InputPipe:
    """Writes to one descriptor in the order of calls, waiting while it is full; owns and closes the descriptor."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._loop = asyncio.get_running_loop()
        self._turn = asyncio.Lock()
        self._waiter: asyncio.Future[None] | None = None
        self.closed = False

    async def write(self, data: bytes) -> None:
        """Write all of ``data``. Raises BrokenPipeError when the other end, or this one, is closed."""
        async with self._turn:
            rest = memoryview(data)
            while rest:
                if self.closed:
                    raise BrokenPipeError("closed")
                try:
                    rest = rest[os.write(self._descriptor, rest) :]
                except BlockingIOError:
                    await self._writable()
                except OSError as error:
                    raise BrokenPipeError(str(error)) from error

    async def _writable(self) -> None:
        self._waiter = self._loop.create_future()
        self._loop.add_writer(self._descriptor, self._wake)
        try:
            await self._waiter
        finally:
            if not self.closed:
                self._loop.remove_writer(self._descriptor)
            self._waiter = None

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def finish(self) -> None:
        """Close after everything written so far has been taken. Idempotent."""
        async with self._turn:
            self.close()

    def close(self) -> None:
        """Close at once; a waiting write fails. Idempotent."""
        if self.closed:
            return
        self._loop.remove_writer(self._descriptor)
        self.closed = True
        os.close(self._descriptor)
        self._wake()
