"""What a machine's init does in its fresh network namespace before the first program starts."""

from __future__ import annotations

import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.network import kernel

DNS_ADDRESS: Final = "127.77.255.53"
"""The nameserver to write into a machine's ``/etc/resolv.conf``."""

DNS_PORT: Final = 53

_SIOCGIFFLAGS: Final = 0x8913
_SIOCSIFFLAGS: Final = 0x8914
_IFF_UP: Final = 0x1


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressHandles:
    """Three descriptors (or their numbers in another process) by which the supervisor serves one machine."""

    notify: int
    dns_udp: int
    dns_tcp: int

    def close(self) -> None:
        for fd in (self.notify, self.dns_udp, self.dns_tcp):
            os.close(fd)


def bring_up_loopback() -> None:
    """Set ``lo`` up in the current network namespace. Needs CAP_NET_ADMIN in the owning user namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        request = struct.pack("16sh22x", b"lo", 0)
        (flags,) = struct.unpack_from("h", fcntl.ioctl(sock, _SIOCGIFFLAGS, request), 16)
        fcntl.ioctl(sock, _SIOCSIFFLAGS, struct.pack("16sh22x", b"lo", flags | _IFF_UP))


def open_dns_sockets() -> tuple[socket.socket, socket.socket]:
    """The machine's nameserver, UDP and TCP, bound inside its own network namespace.

    The supervisor answers on them from outside. To every program they are a plain nameserver on loopback, whatever its
    resolver does with its sockets.
    """
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        udp.bind((DNS_ADDRESS, DNS_PORT))
        tcp.bind((DNS_ADDRESS, DNS_PORT))
        tcp.listen(64)
    except OSError:
        udp.close()
        tcp.close()
        raise
    return udp, tcp


def take_handles(pid: int, numbers: EgressHandles) -> EgressHandles:
    """Copy a machine's three descriptors into this process; ``numbers`` are theirs in process ``pid``."""
    taken: list[int] = []
    try:
        for number in (numbers.notify, numbers.dns_udp, numbers.dns_tcp):
            taken.append(kernel.take_fd(pid, number))
    except OSError:
        for fd in taken:
            os.close(fd)
        raise
    return EgressHandles(notify=taken[0], dns_udp=taken[1], dns_tcp=taken[2])
