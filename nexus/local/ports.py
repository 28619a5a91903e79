"""The ports of a daemon, held from its first moment: between a look at a port and its use somebody else may take it."""

from __future__ import annotations

import errno
import logging
import socket
from contextlib import ExitStack
from dataclasses import dataclass

from nexus.local.settings import HOST, Settings, with_new_ports

_BACKLOG = 2048
# Other engines choose among thousands: to meet one is rare, to meet one each time is no accident.
_TRIES = 5

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldPorts:
    """``api`` and ``edge`` listen: whoever connects waits until they are served. ``forwards`` is only kept from others.

    Forwards listen on addresses of their own, which come and go; on the host's the port is never used.
    """

    api: socket.socket
    edge: socket.socket
    forwards: socket.socket


def hold_ports(settings: Settings) -> tuple[Settings, HeldPorts]:
    """Take the engine's ports; where another program has one of them, move to new ones. Raises OSError."""
    for _ in range(_TRIES):
        try:
            return settings, _hold(settings)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            _log.warning("another program uses one of the engine's ports; new ones are chosen")
            settings = with_new_ports(settings)
    return settings, _hold(settings)


def listen(host: str, port: int, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A socket that listens and does not block. Raises OSError."""
    with ExitStack() as stack:
        # Only with the protocol named does asyncio switch off the delay of small packets, 40 ms for every answer.
        listening = stack.enter_context(socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP))
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family is socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind((host, port))
        # Before it listens, the address is nobody's: others that may reuse it could bind it, too.
        listening.listen(_BACKLOG)
        stack.pop_all()
    return listening


def _hold(settings: Settings) -> HeldPorts:
    with ExitStack() as stack:
        held = HeldPorts(
            api=stack.enter_context(listen(HOST, settings.api_port)),
            edge=stack.enter_context(listen(HOST, settings.sandbox_port)),
            forwards=stack.enter_context(socket.socket()),
        )
        held.forwards.bind((HOST, settings.forward_port))
        stack.pop_all()
    return held
