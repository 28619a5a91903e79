"""Serves the controller's window with uvicorn, in the controller's own event loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Final

import uvicorn
from starlette.types import ASGIApp

from nexus.model.diagnostics import DiagnosticsError, error

_FAREWELL: Final = 2
"""Seconds that requests under way get when the controller ends."""


class _Server(uvicorn.Server):
    """Leaves signals to the controller."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving:
    """Listens from the beginning, so that a port that is taken is told at once. ``port`` 0 takes a free one."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((host, port))
            self._socket.listen()
        except OSError as problem:
            self._socket.close()
            raise DiagnosticsError(
                error(
                    "address-unavailable",
                    f"The controller can't listen on {host}:{port}: {problem.strerror}",
                    hint="choose another with --listen HOST:PORT, or serve nothing with --no-web",
                )
            ) from problem
        self.port: int = self._socket.getsockname()[1]
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=_FAREWELL
        )
        self._server = _Server(config)

    async def serve(self) -> None:
        """Until cancelled; answers that are under way are finished."""
        serving = asyncio.create_task(self._server.serve(sockets=[self._socket]))
        try:
            await asyncio.shield(serving)
        finally:
            self._server.should_exit = True
            await asyncio.gather(serving, return_exceptions=True)
            self._socket.close()
