"""Hands out connections to a machine's own ports.

Runs in the keeper, which has entered the machine's network but is in none of its process trees: a program inside can
neither see nor stop it. A client writes a port number and a line feed to the Unix socket and gets ``+`` with a
connected TCP socket, or the errno of the failure in digits.
"""

from __future__ import annotations

import contextlib
import errno
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

_CONNECT_LIMIT: Final = 5.0
_LONGEST_REQUEST: Final = 16
_LOOPBACKS: Final = ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))


@dataclass(slots=True, kw_only=True, eq=False)
class _Call:
    """One client, and how far its connection is: ``attempt`` counts the loopback addresses tried."""

    client: socket.socket
    deadline: float
    port: int = 0
    attempt: int = 0
    first_failure: int = 0
    outgoing: socket.socket | None = None


class Porter:
    """Serves on ``listening``, in the network namespace this process is in, from the loop of another.

    What it registers with ``selector`` carries a function to call when it is ready. Without asyncio, whose loop would
    cost every machine a megabyte. ``is_ours`` says whether it is this machine that serves a port, where machines share
    one network; everything else is refused.
    """

    def __init__(
        self,
        listening: socket.socket,
        selector: selectors.BaseSelector,
        is_ours: Callable[[int], bool] | None = None,
    ) -> None:
        self._is_ours = is_ours
        self._listening = listening
        self._selector = selector
        self._calls: set[_Call] = set()
        listening.setblocking(False)
        selector.register(listening, selectors.EVENT_READ, self._accept)

    @property
    def patience(self) -> float | None:
        """How many seconds the loop may wait before it calls :meth:`expire`; None for ever.

        Only a port whose backlog is full makes its caller wait; then deadlines have to be watched.
        """
        return 0.5 if self._calls else None

    def expire(self) -> None:
        """Give up the calls whose time is over."""
        now = time.monotonic()
        for call in [call for call in self._calls if call.deadline < now]:
            self._finish(call, errno.ETIMEDOUT)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listening.accept()
            client.setblocking(False)
            call = _Call(client=client, deadline=time.monotonic() + _CONNECT_LIMIT)
            self._selector.register(client, selectors.EVENT_READ, partial(self._advance, call))
            self._calls.add(call)

    def _advance(self, call: _Call) -> None:
        """The client has sent its port, or its connection has been decided."""
        if call.outgoing is None:
            try:
                call.port = int(call.client.recv(_LONGEST_REQUEST))
            except ValueError:
                return self._finish(call, errno.EINVAL)
            except OSError as error:
                return self._finish(call, error.errno or errno.EIO)
            if not 0 < call.port < 1 << 16:
                return self._finish(call, errno.EINVAL)
            if self._is_ours is not None and not self._is_ours(call.port):
                return self._finish(call, errno.ECONNREFUSED)
            self._selector.unregister(call.client)
        else:
            self._selector.unregister(call.outgoing)
            result = call.outgoing.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if self._decided(call, result):
                return None
        return self._connect(call)

    def _connect(self, call: _Call) -> None:
        while call.attempt < len(_LOOPBACKS):
            family, address = _LOOPBACKS[call.attempt]
            call.attempt += 1
            try:
                call.outgoing = socket.socket(family, socket.SOCK_STREAM)
            except OSError as error:  # a kernel without IPv6, or no descriptor left
                call.first_failure = call.first_failure or error.errno or errno.EIO
                continue
            call.outgoing.setblocking(False)
            result = call.outgoing.connect_ex((address, call.port))
            if result == errno.EINPROGRESS:
                self._selector.register(call.outgoing, selectors.EVENT_WRITE, partial(self._advance, call))
                return
            if self._decided(call, result):
                return
        self._finish(call, call.first_failure)

    def _decided(self, call: _Call, result: int) -> bool:
        """Take the outcome of one attempt; True when it was a success, which has then been handed over."""
        assert call.outgoing is not None
        if result == 0:
            self._finish(call, 0)
            return True
        call.first_failure = call.first_failure or result
        call.outgoing.close()
        return False

    def _finish(self, call: _Call, failure: int) -> None:
        self._calls.discard(call)
        for sock in (call.client, call.outgoing):
            with contextlib.suppress(KeyError, ValueError):
                if sock is not None:
                    self._selector.unregister(sock)
        with contextlib.suppress(OSError):
            if failure or call.outgoing is None:
                call.client.send(str(failure or errno.EIO).encode())
            else:
                call.outgoing.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                socket.send_fds(call.client, [b"+"], [call.outgoing.fileno()])
        call.client.close()
        if call.outgoing is not None:
            call.outgoing.close()
