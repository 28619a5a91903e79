"""envd as the first process of a machine: the main loop after the fork."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import create_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.context import Context
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.serving import start_server
from nexus.local.envd.warming import warm_up

__all__ = ["serve", "warm_up"]

_IDENTITY_FOLDER = Path("/run/e2b")


def serve(config: EnvdConfig, listen_socket: socket.socket) -> None:
    """Serve envd on an already listening socket until the process ends."""
    _default_signals()
    os.umask(0o022)
    if os.getpid() == 1:
        _write_identity(config)
    asyncio.run(_serve(config, listen_socket))


async def _serve(config: EnvdConfig, listen_socket: socket.socket) -> None:
    reaper = Reaper(orphans=os.getpid() == 1)
    reaper.install()
    server = await start_server(create_envd(config, reaper=reaper), listen_socket)
    await server.serve_forever()


def _default_signals() -> None:
    """What was set up before the fork does not hold here.

    With default handlers the kernel keeps a PID 1 safe from every signal sent inside its machine.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def _write_identity(config: EnvdConfig) -> None:
    """The files by which a program without the environment finds out where it runs."""
    _IDENTITY_FOLDER.mkdir(parents=True, exist_ok=True)
    for name, value in Context(config, Accounts()).identity().items():
        (_IDENTITY_FOLDER / f".{name}").write_text(value)
