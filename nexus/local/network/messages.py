"""``struct msghdr`` in a caller's memory: what ``sendmsg`` and ``sendmmsg`` were asked to send."""

from __future__ import annotations

import errno
import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

from nexus.local.network import addresses, kernel
from nexus.local.network.addresses import Destination

_HEADER: Final = struct.Struct("=QI4xQQQQi4x")
_MULTI_STRIDE: Final = 64
_MULTI_SENT: Final = 56
_IOVEC: Final = struct.Struct("=QQ")
_CONTROL: Final = struct.Struct("=Qii")

_MOST_MESSAGES: Final = 1024
_MOST_VECTORS: Final = 1024
_LARGEST_DATAGRAM: Final = 65535
_MOST_CONTROL: Final = 4096

# Per-message settings that say how to send, not where from: segment size, traffic class, hop limit.
_PASSED_ON: Final = frozenset(
    {
        (17, 103),  # UDP_SEGMENT
        (socket.IPPROTO_IP, socket.IP_TOS),
        (socket.IPPROTO_IP, socket.IP_TTL),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS),
        (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One datagram to send; its payload still lies in the memory of thread ``tid``.

    ``vectors`` (address, count) point to the payload's pieces; a ``sendto`` has just ``buffer`` (address, length).
    """

    tid: int
    name: bytes
    address: int = 0
    vectors: tuple[int, int] = (0, 0)
    buffer: tuple[int, int] | None = None
    control: tuple[int, int] = (0, 0)

    @property
    def destination(self) -> Destination | None:
        return addresses.parse(self.name)

    def payload(self) -> bytes:
        """The datagram. Raises OSError EMSGSIZE when it cannot be one."""
        pieces = [self.buffer] if self.buffer else self._pieces()
        if sum(length for _, length in pieces) > _LARGEST_DATAGRAM:
            raise _too_large()
        return b"".join(kernel.read_memory(self.tid, base, length) for base, length in pieces if length)

    def _pieces(self) -> list[tuple[int, int]]:
        start, count = self.vectors
        if count > _MOST_VECTORS:
            raise _too_large()
        raw = kernel.read_memory(self.tid, start, count * _IOVEC.size) if count else b""
        return list(_IOVEC.iter_unpack(raw))

    def ancillary(self) -> list[tuple[int, int, bytes]]:
        """The control messages that may go out with it; a chosen source address or interface is left behind."""
        start, length = self.control
        if not start or length < _CONTROL.size:
            return []
        raw = kernel.read_memory(self.tid, start, min(length, _MOST_CONTROL))
        found: list[tuple[int, int, bytes]] = []
        at = 0
        while at + _CONTROL.size <= len(raw):
            size, level, kind = _CONTROL.unpack_from(raw, at)
            if size < _CONTROL.size:
                break
            if (level, kind) in _PASSED_ON:
                found.append((level, kind, raw[at + _CONTROL.size : at + size]))
            at += (size + 7) & ~7
        return found

    def record_sent(self, length: int) -> None:
        """Write ``msg_len`` of a ``struct mmsghdr`` whose header this is."""
        kernel.write_memory(self.tid, self.address + _MULTI_SENT, struct.pack("=I", length))


def of_sendto(tid: int, args: tuple[int, ...]) -> Message:
    """The datagram of a ``sendto`` with an address."""
    _fd, buffer, length, _flags, name, name_length = args
    return Message(tid=tid, name=_name(tid, name, name_length & 0xFFFFFFFF), buffer=(buffer, length))


def read_message(tid: int, address: int) -> Message:
    """The header at ``address`` of thread ``tid``."""
    return _message(tid, address, kernel.read_memory(tid, address, _HEADER.size))


def read_messages(tid: int, address: int, count: int) -> list[Message]:
    """The headers of a ``sendmmsg``; like the kernel, no more than 1024 of them."""
    count = min(count, _MOST_MESSAGES)
    if not count:
        return []
    raw = kernel.read_memory(tid, address, count * _MULTI_STRIDE)
    return [_message(tid, address + at, raw[at : at + _HEADER.size]) for at in range(0, len(raw), _MULTI_STRIDE)]


def _message(tid: int, address: int, raw: bytes) -> Message:
    name, name_length, vectors, vector_count, control, control_length, _flags = _HEADER.unpack(raw)
    return Message(
        tid=tid,
        address=address,
        name=_name(tid, name, name_length),
        vectors=(vectors, vector_count),
        control=(control, control_length),
    )


def _name(tid: int, address: int, length: int) -> bytes:
    if not address or not 0 < length < 1 << 31:
        return b""
    return kernel.read_memory(tid, address, min(length, addresses.LONGEST))


def _too_large() -> OSError:
    return OSError(errno.EMSGSIZE, os.strerror(errno.EMSGSIZE))
