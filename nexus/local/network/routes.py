"""How the host itself would route an address: asked of the kernel, so that the host's own addresses are known."""

from __future__ import annotations

import socket
import struct
from enum import Enum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_RTM_GETROUTE: Final = 26
_NLMSG_ERROR: Final = 2
_NLM_F_REQUEST: Final = 1
_RTA_DST: Final = 1

_HEADER: Final = struct.Struct("=IHHII")
_ROUTE: Final = struct.Struct("=8BI")
_ATTRIBUTE: Final = struct.Struct("=HH")


class Route(Enum):
    """``LOCAL`` is an address of the host itself; ``NONE`` covers unreachable, broadcast and multicast."""

    OUTSIDE = "outside"
    LOCAL = "local"
    NONE = "none"


class Routes:
    """A question-and-answer channel to the kernel's routing table; needs no privilege."""

    def __init__(self) -> None:
        self._netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._netlink.bind((0, 0))
        self._sequence = 0

    def close(self) -> None:
        self._netlink.close()

    def lookup(self, host: IPv4Address | IPv6Address) -> Route:
        """The kind of route that packets to ``host`` would take now."""
        family = socket.AF_INET if host.version == 4 else socket.AF_INET6
        self._sequence += 1
        payload = _ROUTE.pack(family, host.max_prefixlen, 0, 0, 0, 0, 0, 0, 0)
        payload += _ATTRIBUTE.pack(_ATTRIBUTE.size + len(host.packed), _RTA_DST) + host.packed
        header = _HEADER.pack(_HEADER.size + len(payload), _RTM_GETROUTE, _NLM_F_REQUEST, self._sequence, 0)
        self._netlink.send(header + payload)
        while True:
            reply = self._netlink.recv(8192)
            _length, kind, _flags, sequence, _pid = _HEADER.unpack_from(reply)
            if sequence == self._sequence:
                break
        if kind == _NLMSG_ERROR:
            return Route.NONE
        # rtm_type, the eighth byte of struct rtmsg: 1 is RTN_UNICAST, 2 RTN_LOCAL.
        match reply[_HEADER.size + 7]:
            case 1:
                return Route.OUTSIDE
            case 2:
                return Route.LOCAL
            case _:
                return Route.NONE
