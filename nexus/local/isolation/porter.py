"""Hands out connections to a machine's own ports.

Runs in the launcher, which lives in the machine's network but in none of its process trees: a program inside can
neither see nor stop it. A client writes a port number and a line feed to the Unix socket and gets ``+`` with a
connected TCP socket, or the errno of the failure in digits.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import socket
from typing import Final

_CONNECT_LIMIT: Final = 5.0
_LONGEST_REQUEST: Final = 16
_LOOPBACKS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


def serve_until_end(listening: socket.socket, init: int) -> None:
    """Serve in the current network namespace until the process ``init`` has ended.

    In one thread: a process that has asked for a new PID namespace cannot start others.
    """
    asyncio.run(_serve_until_end(listening, init))


async def _serve_until_end(listening: socket.socket, init: int) -> None:
    loop = asyncio.get_running_loop()
    pidfd = os.pidfd_open(init)
    ended = asyncio.Event()
    loop.add_reader(pidfd, ended.set)
    listening.setblocking(False)
    serving = loop.create_task(_accept(listening))
    await ended.wait()
    serving.cancel()
    loop.remove_reader(pidfd)
    os.close(pidfd)


async def _accept(listening: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    answers: set[asyncio.Task[None]] = set()
    while True:
        client, _ = await loop.sock_accept(listening)
        # A port with a full backlog makes its caller wait, and nobody else.
        task = loop.create_task(_answer(client))
        answers.add(task)
        task.add_done_callback(answers.discard)


async def _answer(client: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    with client, contextlib.suppress(OSError):
        try:
            async with asyncio.timeout(_CONNECT_LIMIT):
                port = int(await loop.sock_recv(client, _LONGEST_REQUEST))
                connected = await _connect(port)
        except (ValueError, OverflowError):
            failure = errno.EINVAL
        except TimeoutError:
            failure = errno.ETIMEDOUT
        except OSError as error:
            failure = error.errno or errno.EIO
        else:
            with connected:
                socket.send_fds(client, [b"+"], [connected.fileno()])
            return
        await loop.sock_sendall(client, str(failure).encode())


async def _connect(port: int) -> socket.socket:
    """Connect to ``port`` on IPv4, else IPv6 loopback; the failure told is the first one's."""
    failure: OSError | None = None
    for family, address in _LOOPBACKS:
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            await asyncio.get_running_loop().sock_connect(sock, (address, port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError as error:
            sock.close()
            failure = failure or error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    assert failure is not None
    raise failure
