"""HTTP/1.1 for an ASGI application on a socket that is listening already.

uvicorn's protocol without uvicorn's server: that one wakes up ten times a second, in every machine, and takes over
signals.
"""

from __future__ import annotations

import asyncio
import socket

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from nexus.local.envd.app import ASGIApp

# The edge opens a connection for each request; another client may keep one.
_IDLE_CONNECTION_SECONDS = 75
_MAX_HEAD = 64 * 1024


def prepare(app: ASGIApp) -> uvicorn.Config:
    """What :func:`start_prepared` takes; it can be made long before there is a loop."""
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
    return config


async def start_server(app: ASGIApp, listen_socket: socket.socket) -> asyncio.Server:
    """Serve ``app`` on the running loop until the returned server is closed."""
    return await start_prepared(prepare(app), listen_socket)


async def start_prepared(config: uvicorn.Config, listen_socket: socket.socket) -> asyncio.Server:
    """Serve a prepared application on the running loop until the returned server is closed."""
    state = ServerState()
    loop = asyncio.get_running_loop()

    def protocol() -> asyncio.Protocol:
        return H11Protocol(config=config, server_state=state, app_state={}, _loop=loop)

    if listen_socket.family == socket.AF_UNIX:
        return await loop.create_unix_server(protocol, sock=listen_socket, backlog=1024)
    return await loop.create_server(protocol, sock=listen_socket, backlog=1024)
