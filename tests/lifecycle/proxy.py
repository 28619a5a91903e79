"""A proxy between nexus and the engine that counts requests, and ends the client's process at the Nth of them.

It reads the heads of requests and otherwise carries bytes, so streams and uploads go through as they are.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import StrEnum
from typing import IO
from urllib.parse import urlsplit

_CHUNK = 65536


class Moment(StrEnum):
    BEFORE = "before"  # the request never leaves
    SENT = "sent"  # it has left, and is being worked on
    ANSWERED = "answered"  # the answer is there, and does not arrive


class Requests:
    """Counts the requests through all proxies of one run, and kills the run at one of them."""

    def __init__(self, count: int = 0, moment: Moment = Moment.BEFORE) -> None:
        self._count = count
        self._moment = moment
        self._lock = threading.Lock()
        self._known = threading.Event()
        self._pid = 0
        self.seen: list[str] = []
        self.heads: list[bytes] = []

    def aim(self, pid: int) -> None:
        """Say whom to kill."""
        self._pid = pid
        self._known.set()

    def begun(self, head: bytes) -> bool:
        """Note a request; whether it is the chosen one."""
        with self._lock:
            self.heads.append(head)
            self.seen.append(head.split(b"\r\n", 1)[0].decode("latin-1"))
            return len(self.seen) == self._count

    def is_time(self, moment: Moment) -> bool:
        """Kill, if this is the moment."""
        if moment is not self._moment:
            return False
        self._known.wait()
        with suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        return True


@contextmanager
def proxy(target: str, requests: Requests) -> Iterator[str]:
    """Carries HTTP/1.1 to ``target``; yields the address to use in its place."""
    listener = socket.create_server(("127.0.0.1", 0))
    connections: list[socket.socket] = []
    thread = threading.Thread(target=_accept, args=(listener, target, requests, connections), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for connection in connections:
            _end(connection)
        thread.join()


def _accept(listener: socket.socket, target: str, requests: Requests, connections: list[socket.socket]) -> None:
    where = urlsplit(target)
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection((where.hostname, where.port))
        except OSError:  # nobody is there any more, and the client is to see that
            client.close()
            continue
        connections += (client, server)
        _Connection(client, server, requests).start()


class _Connection:
    """One connection of the client's and its own one to the engine: the request that is chosen is answered on it."""

    def __init__(self, client: socket.socket, server: socket.socket, requests: Requests) -> None:
        self._client = client
        self._server = server
        self._requests = requests
        self._is_chosen = False

    def start(self) -> None:
        for carry in (self._carry_requests, self._carry_answers):
            threading.Thread(target=carry, daemon=True).start()

    def _carry_requests(self) -> None:
        try:
            with self._client.makefile("rb") as stream:
                while (head := _read_head(stream)) is not None:
                    if self._carry(head, stream):
                        return
        except OSError:
            pass
        finally:
            with suppress(OSError):
                self._server.shutdown(socket.SHUT_WR)

    def _carry(self, head: bytes, stream: IO[bytes]) -> bool:
        """Carry one request; whether it was the last."""
        chosen = self._requests.begun(head)
        if chosen and self._requests.is_time(Moment.BEFORE):
            return True
        self._is_chosen = chosen
        self._server.sendall(head)
        for part in _read_body(head, stream):
            self._server.sendall(part)
        return chosen and self._requests.is_time(Moment.SENT)

    def _carry_answers(self) -> None:
        try:
            while data := self._server.recv(_CHUNK):
                if self._is_chosen and self._requests.is_time(Moment.ANSWERED):
                    return
                self._client.sendall(data)
        except OSError:
            pass
        finally:
            _end(self._client)


def _read_head(stream: IO[bytes]) -> bytes | None:
    lines: list[bytes] = []
    while (line := stream.readline()) not in (b"\r\n", b""):
        lines.append(line)
    return b"".join(lines) + line if line else None


def _read_body(head: bytes, stream: IO[bytes]) -> Iterator[bytes]:
    fields = dict(
        (name.strip().lower(), value.strip())
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    )
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        while True:
            size = stream.readline()
            if not size:
                raise ConnectionError("the client is gone")
            length = int(size.split(b";")[0], 16)
            yield size + stream.read(length + 2)
            if not length:
                return
    rest = int(fields.get(b"content-length", 0))
    while rest and (data := stream.read(min(rest, _CHUNK))):
        rest -= len(data)
        yield data


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
