"""Sockets in the host's network that take the place of a machine's own, looking the same to the program."""

from __future__ import annotations

import select
import socket
import struct
from dataclasses import dataclass
from typing import Final

_SOL_UDP: Final = 17

_Option = tuple[int, int]

_ANY: Final[tuple[_Option, ...]] = tuple(
    (socket.SOL_SOCKET, option)
    for option in (
        socket.SO_REUSEADDR,
        socket.SO_KEEPALIVE,
        socket.SO_BROADCAST,
        socket.SO_OOBINLINE,
        socket.SO_SNDBUF,
        socket.SO_RCVBUF,
        29,  # SO_TIMESTAMP
        35,  # SO_TIMESTAMPNS
        40,  # SO_RXQ_OVFL
    )
)
_STRUCTURES: Final[tuple[_Option, ...]] = (
    (socket.SOL_SOCKET, socket.SO_LINGER),
    (socket.SOL_SOCKET, socket.SO_RCVTIMEO),
    (socket.SOL_SOCKET, socket.SO_SNDTIMEO),
)
_TCP: Final[tuple[_Option, ...]] = tuple(
    (socket.IPPROTO_TCP, option)
    for option in (
        socket.TCP_NODELAY,
        socket.TCP_MAXSEG,
        socket.TCP_CORK,
        socket.TCP_KEEPIDLE,
        socket.TCP_KEEPINTVL,
        socket.TCP_KEEPCNT,
        socket.TCP_SYNCNT,
        socket.TCP_LINGER2,
        socket.TCP_WINDOW_CLAMP,
        socket.TCP_USER_TIMEOUT,
        25,  # TCP_NOTSENT_LOWAT
    )
)
_UDP: Final[tuple[_Option, ...]] = ((_SOL_UDP, 104),)  # UDP_GRO
_IPV4: Final[tuple[_Option, ...]] = tuple(
    (socket.IPPROTO_IP, option)
    for option in (
        socket.IP_TOS,
        socket.IP_TTL,
        8,  # IP_PKTINFO
        10,  # IP_MTU_DISCOVER
        11,  # IP_RECVERR
        12,  # IP_RECVTTL
        13,  # IP_RECVTOS
    )
)
_IPV6: Final[tuple[_Option, ...]] = tuple(
    (socket.IPPROTO_IPV6, option)
    for option in (
        socket.IPV6_V6ONLY,
        socket.IPV6_UNICAST_HOPS,
        socket.IPV6_RECVPKTINFO,
        socket.IPV6_RECVHOPLIMIT,
        socket.IPV6_RECVTCLASS,
        socket.IPV6_TCLASS,
        23,  # IPV6_MTU_DISCOVER
        25,  # IPV6_RECVERR
    )
)
# The kernel doubles what is set for these, for its own bookkeeping.
_DOUBLED: Final = frozenset({(socket.SOL_SOCKET, socket.SO_SNDBUF), (socket.SOL_SOCKET, socket.SO_RCVBUF)})


@dataclass(frozen=True, slots=True)
class SocketKind:
    """What ``socket(2)`` was called with."""

    family: int
    type: int
    protocol: int

    @property
    def is_stream(self) -> bool:
        """A TCP socket."""
        return self._is_internet and self.type == socket.SOCK_STREAM and self.protocol == socket.IPPROTO_TCP

    @property
    def is_datagram(self) -> bool:
        """A UDP socket, or one for pings."""
        return self._is_internet and self.type == socket.SOCK_DGRAM

    @property
    def _is_internet(self) -> bool:
        return self.family in (socket.AF_INET, socket.AF_INET6)


class SocketFactory:
    """Makes host sockets that carry the options a program has set on its own."""

    def __init__(self) -> None:
        self._defaults: dict[SocketKind, dict[_Option, bytes | int]] = {}

    def twin(self, original: socket.socket, kind: SocketKind) -> socket.socket:
        """A new unconnected, non-blocking host socket like ``original``. Raises OSError when the host makes none.

        The local address is not taken over: a port that was bound inside must not appear on the host.
        """
        twin = socket.socket(kind.family, kind.type | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, kind.protocol)
        try:
            if kind not in self._defaults:
                self._defaults[kind] = _options(twin, kind)
            defaults = self._defaults[kind]
            for option, value in _options(original, kind).items():
                if defaults.get(option) != value:
                    _set(twin, option, value)
        except BaseException:
            twin.close()
            raise
        return twin


def is_closed(sock: socket.socket) -> bool:
    """Whether a TCP socket is fresh, or failed: only then does a ``connect`` start a new connection."""
    tcp_close = 7
    return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == tcp_close


def is_connected_within(sock: socket.socket, seconds: float) -> bool:
    """Whether a non-blocking connect came to a good end; waits for it no longer than ``seconds``."""
    poll = select.poll()
    poll.register(sock, select.POLLOUT)
    return bool(poll.poll(seconds * 1000)) and sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0


def _options(sock: socket.socket, kind: SocketKind) -> dict[_Option, bytes | int]:
    found: dict[_Option, bytes | int] = {}
    integers = _ANY
    if kind.is_stream:
        integers += _TCP
    elif kind.protocol == socket.IPPROTO_UDP:
        integers += _UDP
    # An IPv6 socket keeps both: it may speak to IPv4-mapped addresses.
    integers += _IPV4 if kind.family == socket.AF_INET else _IPV4 + _IPV6
    for option in integers:
        try:
            found[option] = sock.getsockopt(*option)
        except OSError:
            continue
    for option in _STRUCTURES:
        found[option] = sock.getsockopt(*option, struct.calcsize("=qq"))
    return found


def _set(sock: socket.socket, option: _Option, value: bytes | int) -> None:
    if option in _DOUBLED and isinstance(value, int):
        value //= 2
    try:
        sock.setsockopt(*option, value)
    except OSError:
        # An option the host refuses (a limit, a right) is worth less than the connection.
        return
