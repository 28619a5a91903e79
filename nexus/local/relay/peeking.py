"""What a program speaks and whom it means, from the first bytes it sends, which stay where they are."""

from __future__ import annotations

import asyncio
import re
import socket
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from nexus.local.waiting import readable

_LARGEST: Final = 64 * 1024
_REQUEST: Final = re.compile(rb"[A-Z]{1,20} [^\r\n]* HTTP/1\.[01]\r?\n")
_BEGINNING: Final = re.compile(rb"[A-Z]{1,20}( [^\r\n]*)?")
_HOST: Final = re.compile(rb"\r?\nhost:[ \t]*([^\r\n]*?)[ \t]*\r?\n", re.IGNORECASE)
_END_OF_HEAD: Final = re.compile(rb"\r?\n\r?\n")
_HANDSHAKE: Final = 0x16
_CLIENT_HELLO: Final = 1
_SERVER_NAME: Final = 0
_PAUSE: Final = 0.01


class Speech(Enum):
    HTTP = auto()
    TLS = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class Opening:
    """``host`` is the name in the Host header or in the TLS greeting, empty when there is none."""

    speech: Speech
    host: str = ""


class _NeedMoreError(Exception):
    pass


async def peek(sock: socket.socket, *, first: float | None, rest: float) -> Opening:
    """Look at what the program says.

    ``first`` is how long, in seconds, to wait for anything at all: some protocols let the server speak first. ``rest``
    is how long the whole opening may take.
    """
    try:
        async with asyncio.timeout(first):
            await readable(sock)
    except TimeoutError:
        return Opening(Speech.OTHER)
    try:
        async with asyncio.timeout(rest):
            while True:
                data = sock.recv(_LARGEST, socket.MSG_PEEK)
                try:
                    return opening_of(data)
                except _NeedMoreError:
                    if len(data) >= _LARGEST:
                        return Opening(Speech.OTHER)
                # The socket stays readable, so there is no event to wait for.
                await asyncio.sleep(_PAUSE)
    except TimeoutError:
        return Opening(Speech.OTHER)


def opening_of(data: bytes) -> Opening:
    """Raises an internal error when there is not enough to tell."""
    if not data:
        return Opening(Speech.OTHER)
    if data[0] == _HANDSHAKE:
        return Opening(Speech.TLS, _server_name(data))
    if _REQUEST.match(data):
        if _END_OF_HEAD.search(data) is None:
            raise _NeedMoreError
        host = _HOST.search(data)
        return Opening(Speech.HTTP, without_port(host[1].decode("latin-1")) if host else "")
    if _BEGINNING.fullmatch(data):
        raise _NeedMoreError
    return Opening(Speech.OTHER)


def without_port(host: str) -> str:
    """The name in a Host header."""
    return host.rpartition(":")[0] if re.search(r":\d+$", host) else host


def _server_name(data: bytes) -> str:
    """The name in a ClientHello; empty when it has none, or is not one."""
    hello = _Reader(_handshake(data))
    try:
        if hello.number(1) != _CLIENT_HELLO:
            return ""
        body = _Reader(hello.vector(3))
        body.skip(2 + 32)
        body.vector(1)
        body.vector(2)
        body.vector(1)
        extensions = _Reader(body.vector(2))
        while extensions.left:
            kind, content = extensions.number(2), _Reader(extensions.vector(2))
            if kind == _SERVER_NAME:
                names = _Reader(content.vector(2))
                names.skip(1)
                return names.vector(2).decode("ascii")
    except (ValueError, UnicodeDecodeError):
        return ""
    return ""


def _handshake(data: bytes) -> bytes:
    """The first handshake message, put together from the records it lies in."""
    message, at = b"", 0
    while len(message) < 4 or len(message) < 4 + int.from_bytes(message[1:4], "big"):
        if at + 5 > len(data):
            raise _NeedMoreError
        size = int.from_bytes(data[at + 3 : at + 5], "big")
        if data[at] != _HANDSHAKE or size == 0:
            return b""
        if at + 5 + size > len(data):
            raise _NeedMoreError
        message += data[at + 5 : at + 5 + size]
        at += 5 + size
    return message


class _Reader:
    """Numbers and length-prefixed fields, as TLS writes them."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def skip(self, count: int) -> bytes:
        if count > self.left:
            raise ValueError("cut off")
        self._at += count
        return self._data[self._at - count : self._at]

    def number(self, size: int) -> int:
        return int.from_bytes(self.skip(size), "big")

    def vector(self, size: int) -> bytes:
        return self.skip(self.number(size))
