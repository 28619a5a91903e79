"""envd as the first process of a machine: the main loop after the fork."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from nexus.local.envd.accounts import Accounts
from nexus.local.envd.app import ASGIApp, create_envd
from nexus.local.envd.config import EnvdConfig
from nexus.local.envd.context import Context
from nexus.local.envd.reaper import Reaper
from nexus.local.envd.warming import warm_up

__all__ = ["serve", "start_server", "warm_up"]

# The edge opens a connection per request; a client of its own may keep one.
_IDLE_CONNECTION_SECONDS = 75
_MAX_HEAD = 64 * 1024
_IDENTITY_FOLDER = Path("/run/e2b")


def serve(config: EnvdConfig, listen_socket: socket.socket) -> None:
    """Serve envd on an already listening socket until the process ends."""
    _default_signals()
    os.umask(0o022)
    if os.getpid() == 1:
        _write_identity(config)
    asyncio.run(_serve(config, listen_socket))


async def start_server(app: ASGIApp, listen_socket: socket.socket) -> asyncio.Server:
    """Serve ``app`` over HTTP/1.1 on the running loop.

    uvicorn's protocol without uvicorn's server: that one wakes up ten times a second, in every machine, and takes over
    signals.
    """
    config = uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_keep_alive=_IDLE_CONNECTION_SECONDS,
        h11_max_incomplete_event_size=_MAX_HEAD,
    )
    config.load()
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        return H11Protocol(config=config, server_state=state, app_state={}, _loop=loop)

    if listen_socket.family == socket.AF_UNIX:
        return await loop.create_unix_server(protocol, sock=listen_socket, backlog=1024)
    return await loop.create_server(protocol, sock=listen_socket, backlog=1024)


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
