"""Serving on stdin and stdout: until stdin ends, or somebody asks the process to end."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
from mcp.server.stdio import stdio_server

from nexus.mcp.seat import Seat
from nexus.mcp.server import OnBug, make_server, offered

T = TypeVar("T")


class Calls:
    """The calls under way, each in a task of its own, so that one that is given up can clear up after itself."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    async def carry(self, work: Coroutine[Any, Any, T]) -> T:
        """Do the work. A call that the client gives up cancels it once, and waits for its end.

        What serves the call is cancelled again at everything that it waits for, until it has ended.
        """
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.cancel()
            with anyio.CancelScope(shield=True):
                await asyncio.wait([task])
            raise

    async def end(self) -> None:
        """Give all of them up, and wait for their ends."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


def serve(seat: Seat, *, read_only: bool, on_bug: OnBug) -> None:
    """Answer until stdin ends. ``read_only`` offers only tools that change nothing."""
    asyncio.run(_serve(seat, read_only=read_only, on_bug=on_bug))


async def _serve(seat: Seat, *, read_only: bool, on_bug: OnBug) -> None:
    calls = Calls()
    server = make_server(seat, offered(read_only=read_only), on_bug, calls.carry)
    _end_when_asked(calls)
    # While it serves, what anything else prints to stdout goes to stderr.
    async with stdio_server() as (incoming, outgoing):
        await server.run(incoming, outgoing, server.create_initialization_options())


def _end_when_asked(calls: Calls) -> None:
    """On Ctrl-C, or a polite request to end: let the calls clear up. Asked a second time, end at once."""
    asked: list[asyncio.Task[None]] = []

    def ask(number: int) -> None:
        if asked:
            os._exit(128 + number)
        asked.append(asyncio.create_task(_end(calls, number)))

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ask, number)


async def _end(calls: Calls, number: int) -> None:
    try:
        await calls.end()
    finally:
        # The thread that reads stdin waits for ever, and so would everything that waits for its end.
        os._exit(128 + number)
