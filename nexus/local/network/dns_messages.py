"""As much of the DNS wire format as a forwarder needs: the question asked, the addresses answered, a refusal."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final

_HEADER: Final = struct.Struct("!HHHHHH")
_RECORD: Final = struct.Struct("!HHIH")
_ADDRESS: Final = 1
_INTERNET: Final = 1
_SAME_NAME: Final = b"\xc0\x0c"  # points to the question
_RESPONSE: Final = 0x8000
_RECURSION_AVAILABLE: Final = 0x0080
_KEPT_FROM_QUERY: Final = 0x7910  # opcode, recursion desired, checking disabled


class ResponseCode(IntEnum):
    SERVER_FAILURE = 2
    REFUSED = 5


@dataclass(frozen=True, slots=True)
class Question:
    """``end`` is where it ends in its message."""

    id: int
    name: str
    end: int


def question_of(message: bytes) -> Question:
    """The one question of a query or response. Raises ValueError when the message is malformed."""
    if len(message) < _HEADER.size:
        raise ValueError("shorter than a header")
    number, _flags, questions, *_ = _HEADER.unpack_from(message)
    if questions != 1:
        raise ValueError("not exactly one question")
    name, end = _read_name(message, _HEADER.size)
    if end + 4 > len(message):
        raise ValueError("question cut off")
    return Question(number, name, end + 4)


def addresses_in(response: bytes) -> Iterator[tuple[IPv4Address | IPv6Address, int]]:
    """Address and time to live (seconds) of each A and AAAA record answered. Raises ValueError when malformed."""
    at = question_of(response).end
    (answers,) = struct.unpack_from("!H", response, 6)
    for _ in range(answers):
        _, at = _read_name(response, at)
        if at + _RECORD.size > len(response):
            raise ValueError("record cut off")
        kind, _class, ttl, length = _RECORD.unpack_from(response, at)
        at += _RECORD.size
        data = response[at : at + length]
        at += length
        if kind == 1 and len(data) == 4:
            yield IPv4Address(data), ttl
        elif kind == 28 and len(data) == 16:
            yield IPv6Address(data), ttl


def failure(query: bytes, code: ResponseCode) -> bytes:
    """A response to ``query`` without any record."""
    question = question_of(query)
    (flags,) = struct.unpack_from("!H", query, 2)
    flags = flags & _KEPT_FROM_QUERY | _RESPONSE | _RECURSION_AVAILABLE | code
    return _HEADER.pack(question.id, flags, 1, 0, 0, 0) + query[_HEADER.size : question.end]


def answer(query: bytes, address: IPv4Address) -> bytes:
    """A response that gives ``address`` to who asks for an IPv4 address, and nothing to who asks for anything else."""
    question = question_of(query)
    (flags,) = struct.unpack_from("!H", query, 2)
    flags = flags & _KEPT_FROM_QUERY | _RESPONSE | _RECURSION_AVAILABLE
    (kind,) = struct.unpack_from("!H", query, question.end - 4)
    record = _SAME_NAME + _RECORD.pack(_ADDRESS, _INTERNET, 0, 4) + address.packed if kind == _ADDRESS else b""
    return _HEADER.pack(question.id, flags, 1, int(bool(record)), 0, 0) + query[_HEADER.size : question.end] + record


def _read_name(message: bytes, at: int) -> tuple[str, int]:
    labels: list[str] = []
    end: int | None = None
    jumps = 0
    while True:
        if at >= len(message):
            raise ValueError("name cut off")
        length = message[at]
        if length >= 0xC0:
            if at + 2 > len(message) or jumps > 64:
                raise ValueError("bad compression")
            end = end if end is not None else at + 2
            at = (length & 0x3F) << 8 | message[at + 1]
            jumps += 1
        elif length == 0:
            return ".".join(labels), end if end is not None else at + 1
        else:
            labels.append(message[at + 1 : at + 1 + length].decode("latin-1").lower())
            at += 1 + length
