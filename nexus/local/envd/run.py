"""envd as the first process of a machine: the main loop after the fork."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import assemble_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.context import Context
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.serving import prepare, start_prepared
from nexus.local.envd.warming import warm_up

__all__ = ["Envd", "serve", "warm_up"]

_IDENTITY_FOLDER = Path("/run/e2b")


class Envd:
    """envd, put together before it is known for which machine: what is made before the fork, forks share."""

    def __init__(self) -> None:
        self._context = Context(EnvdConfig(sandbox_id="", template_id=""), Accounts())
        self._reaper = Reaper(orphans=True)
        self._server = prepare(assemble_envd(self._context, self._reaper))

    def serve(self, config: EnvdConfig, listen_socket: socket.socket) -> None:
        """Be the envd of one machine, on an already listening socket, until the process ends."""
        _default_signals()
        os.umask(0o022)
        self._context.adopt(config)
        _write_identity(self._context)
        asyncio.run(self._serve(listen_socket))

    async def _serve(self, listen_socket: socket.socket) -> None:
        self._reaper.install()
        server = await start_prepared(self._server, listen_socket)
        await server.serve_forever()


def serve(config: EnvdConfig, listen_socket: socket.socket) -> None:
    """Serve envd on an already listening socket until the process ends."""
    Envd().serve(config, listen_socket)


def _default_signals() -> None:
    """What was set up before the fork does not hold here.

    With default handlers the kernel keeps a PID 1 safe from every signal sent inside its machine.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _write_identity(context: Context) -> None:
    """The files by which a program without the environment finds out where it runs."""
    _IDENTITY_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, value in context.identity().items():
        (_IDENTITY_FOLDER / f".{name}").write_text(value)
