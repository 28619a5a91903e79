"""The daemon's part in making one machine: send the request, hand its egress on, wait until envd answers."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from nexus.local.isolation.base import NetworkPolicy
from nexus.local.isolation.launch_request import LaunchRequest
from nexus.local.isolation.outbound import Outbound
from nexus.local.network import EgressHandles
from nexus.local.waiting import readable

START_LIMIT: Final = 60.0
_LARGEST_MESSAGE: Final = 1 << 16
_HEALTH_REQUEST: Final = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class StartError(Exception):
    """The machine could not be made; the message names the step that failed."""


class NoKeeperError(StartError):
    """Nobody took the request: the zygote died before it could fork."""


async def converse(
    start: socket.socket, request: LaunchRequest, policy: NetworkPolicy, outbound: Outbound | None
) -> Mapping[str, object]:
    """Follow a keeper that makes a machine; its description when it is ready. Raises StartError."""
    loop = asyncio.get_running_loop()
    data = request.encode()
    try:
        await loop.sock_sendall(start, len(data).to_bytes(4, "big") + data)
        message, descriptors = await _receive(start)
    except ConnectionError as error:
        raise NoKeeperError("the process that makes machines died") from error
    while True:
        match message:
            case {"egress": True} if outbound is not None and len(descriptors) == 3:
                notify, dns_udp, dns_tcp = descriptors
                handles = EgressHandles(notify=notify, dns_udp=dns_udp, dns_tcp=dns_tcp)
                try:
                    await outbound.add(request.machine_id, handles, policy)
                finally:
                    handles.close()
                await loop.sock_sendall(start, b"1")
                message, descriptors = await _receive(start)
            case {"ready": True}:
                return message
            case {"error": str(sentence)}:
                raise StartError(sentence)
            case _:
                for descriptor in descriptors:
                    os.close(descriptor)
                raise StartError("the machine ended while it was being made")


async def wait_for_envd(path: Path) -> None:
    """Return when envd answers its health check. Raises StartError."""
    try:
        # The socket has been listening since before the machine was forked: the connection waits for its server.
        reader, writer = await asyncio.open_unix_connection(str(path))
        try:
            writer.write(_HEALTH_REQUEST)
            status = await reader.readline()
        finally:
            writer.close()
    except OSError as error:
        raise StartError(f"envd does not answer: {error}") from error
    if b" 2" not in status[:12]:
        raise StartError(f"envd is not well: {status.decode(errors='replace').strip() or 'it closed the connection'}")


async def _receive(start: socket.socket) -> tuple[Mapping[str, object], list[int]]:
    """The next message and its descriptors; an empty one when the keeper is gone."""
    data = bytearray()
    found: list[int] = []
    while not data.endswith(b"\n"):
        await readable(start)
        piece, descriptors, _, _ = socket.recv_fds(start, _LARGEST_MESSAGE, 3, socket.MSG_CMSG_CLOEXEC)
        found += descriptors
        if not piece:
            return {}, found
        data += piece
    message = json.loads(data)
    assert isinstance(message, dict)
    return message, found
