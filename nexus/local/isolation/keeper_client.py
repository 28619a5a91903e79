"""Speaking to a machine's keeper: one order on a connection of its own, one answer."""

from __future__ import annotations

import asyncio
import errno
import json
import socket
from collections.abc import Mapping

from nexus.local.isolation.runtime_folder import RuntimeFolder
from nexus.local.network import EgressHandles
from nexus.local.waiting import readable

_ANSWER = 64


class MachineError(Exception):
    """The machine's keeper could not do what it was asked for."""


class MachineGoneError(MachineError):
    """The machine has ended."""


async def ask_keeper(folder: RuntimeFolder, order: str) -> Mapping[str, object]:
    """Send one order to a machine's keeper and return its answer. Raises MachineGoneError."""
    try:
        reader, writer = await asyncio.open_unix_connection(str(folder.control))
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise MachineGoneError(f"machine {folder.machine_id} has ended") from error
    try:
        writer.write(f"{order}\n".encode())
        line = await reader.readline()
    except OSError as error:
        if error.errno not in (errno.ECONNRESET, errno.EPIPE):
            raise
        line = b""
    finally:
        writer.close()
    if not line:
        raise MachineGoneError(f"machine {folder.machine_id} has ended")
    answer = json.loads(line)
    assert isinstance(answer, dict)
    return answer


async def fetch_egress(folder: RuntimeFolder) -> EgressHandles | None:
    """Copies of the descriptors by which a machine's network is served; None when it has none. Close them afterwards.

    Raises MachineGoneError.
    """
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
        line.setblocking(False)
        try:
            await loop.sock_connect(line, str(folder.control))
            await loop.sock_sendall(line, b"egress\n")
            await readable(line)
            answer, descriptors, _, _ = socket.recv_fds(line, _ANSWER, 3, socket.MSG_CMSG_CLOEXEC)
        except (FileNotFoundError, ConnectionError) as error:
            raise MachineGoneError(f"machine {folder.machine_id} has ended") from error
    if not answer:
        raise MachineGoneError(f"machine {folder.machine_id} has ended")
    if not descriptors:
        return None
    notify, dns_udp, dns_tcp = descriptors
    return EgressHandles(notify=notify, dns_udp=dns_udp, dns_tcp=dns_tcp)
