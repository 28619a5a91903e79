"""Destinations as programs write them in memory: ``struct sockaddr`` to typed values and back."""

from __future__ import annotations

import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

LONGEST: Final = 128
"""Bytes of ``struct sockaddr_storage``."""


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a call wants to go. ``host`` is the real address: an IPv4-mapped IPv6 address is given as IPv4."""

    family: int
    host: IPv4Address | IPv6Address
    port: int
    flow: int = 0
    scope: int = 0

    def for_family(self, family: int) -> tuple[str, int] | tuple[str, int, int, int]:
        """The form in which a socket of ``family`` takes it."""
        if family == socket.AF_INET:
            return str(self.host), self.port
        host = f"::ffff:{self.host}" if isinstance(self.host, IPv4Address) else str(self.host)
        return host, self.port, self.flow, self.scope


def family_of(raw: bytes) -> int | None:
    """The address family of a sockaddr, None when it is too short to have one."""
    if len(raw) < 2:
        return None
    return int(struct.unpack_from("=H", raw)[0])


def parse(raw: bytes) -> Destination | None:
    """The internet destination in a sockaddr; None for any other family and for sizes the kernel refuses itself."""
    match family_of(raw):
        case socket.AF_INET if len(raw) >= 16:
            (port,) = struct.unpack_from("!H", raw, 2)
            return Destination(socket.AF_INET, IPv4Address(raw[4:8]), port)
        case socket.AF_INET6 if len(raw) >= 24:
            (port,) = struct.unpack_from("!H", raw, 2)
            flow = socket.ntohl(struct.unpack_from("=I", raw, 4)[0])
            scope = struct.unpack_from("=I", raw, 24)[0] if len(raw) >= 28 else 0
            host = IPv6Address(raw[8:24])
            return Destination(socket.AF_INET6, host.ipv4_mapped or host, port, flow, scope)
        case _:
            return None
