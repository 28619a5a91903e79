"""A way to a server on which connections are cut, by a seed: before a request is sent on, or before its answer is.

It carries bytes and knows no protocol, so it stands before HTTP and PostgreSQL alike. Who asks can't tell the two cuts
apart: what was asked may have been done, or not.
"""

from __future__ import annotations

import random
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 65536


@dataclass(slots=True)
class Cuts:
    """``share`` of what goes through, in either direction, ends its connection."""

    chance: random.Random
    share: float
    port: int = 0
    count: int = 0
    turn: threading.Lock = field(default_factory=threading.Lock)

    def strikes(self) -> bool:
        with self.turn:
            struck = self.chance.random() < self.share
            self.count += struck
            return struck


@contextmanager
def cutting(port: int, seed: int, share: float = 0.1) -> Iterator[Cuts]:
    """To ``port`` of this machine; yields where to connect instead."""
    cuts = Cuts(random.Random(seed), share)
    listener = socket.create_server(("127.0.0.1", 0))
    cuts.port = listener.getsockname()[1]
    ends: list[socket.socket] = []
    thread = threading.Thread(target=_accept, args=(listener, port, cuts, ends), daemon=True)
    thread.start()
    try:
        yield cuts
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for end in ends:
            _cut(end)


def _accept(listener: socket.socket, port: int, cuts: Cuts, ends: list[socket.socket]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        server = socket.create_connection(("127.0.0.1", port))
        ends += (client, server)
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=_carry, args=(source, sink, cuts), daemon=True).start()


def _carry(source: socket.socket, sink: socket.socket, cuts: Cuts) -> None:
    with suppress(OSError):
        while data := source.recv(_CHUNK):
            if cuts.strikes():
                break
            sink.sendall(data)
    _cut(source)
    _cut(sink)


def _cut(end: socket.socket) -> None:
    with suppress(OSError):
        end.shutdown(socket.SHUT_RDWR)
    end.close()
