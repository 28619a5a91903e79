"""A push parser for ``multipart/form-data`` that never holds more than one piece of a part in memory."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

_MAX_HEAD = 16 * 1024


class MultipartError(ValueError):
    """The body is not well-formed; the text is for the client."""


@dataclass(frozen=True, slots=True)
class PartBegin:
    """A part starts. ``filename`` is None when the part names none."""

    name: str
    filename: str | None


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part that began last."""

    data: bytes


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part that began last is complete."""


PartEvent = PartBegin | PartData | PartEnd


def boundary_of(content_type: str) -> bytes:
    """The boundary parameter of a ``multipart/form-data`` content type. Raises :class:`MultipartError`."""
    found = re.search(r'boundary=(?:"([^"]+)"|([^;\s]+))', content_type)
    if found is None:
        raise MultipartError("no multipart boundary in the content type")
    return (found[1] or found[2]).encode("latin-1")


class MultipartParser:
    """Feed it the body piece by piece; it yields events. Call :meth:`finish` at the end of the body."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = b"\r\n--" + boundary
        # A body may begin with the delimiter without a line break before it.
        self._buffer = bytearray(b"\r\n")
        self._state = "preamble"

    def feed(self, data: bytes) -> Iterator[PartEvent]:
        """The events completed by ``data``. Raises :class:`MultipartError`."""
        self._buffer += data
        while self._state != "end":
            if self._state == "head":
                event = self._head()
                if event is None:
                    return
                yield event
            else:
                content, complete = self._content()
                if content and self._state == "body":
                    yield PartData(content)
                if not complete:
                    return
                if self._state == "body":
                    yield PartEnd()
                self._state = "delimiter"
            if self._state == "delimiter" and not self._after_delimiter():
                return

    def finish(self) -> None:
        """Check that the closing delimiter was seen. Raises :class:`MultipartError`."""
        if self._state != "end":
            raise MultipartError("unexpected end of the multipart body")

    def _content(self) -> tuple[bytes, bool]:
        """What certainly belongs to the present part, and whether its delimiter follows."""
        if self._state == "delimiter":
            return b"", True
        at = self._buffer.find(self._delimiter)
        if at >= 0:
            content = bytes(self._buffer[:at])
            del self._buffer[: at + len(self._delimiter)]
            return content, True
        # The last bytes may be the beginning of a delimiter.
        certain = max(len(self._buffer) - len(self._delimiter) + 1, 0)
        content = bytes(self._buffer[:certain])
        del self._buffer[:certain]
        return content, False

    def _after_delimiter(self) -> bool:
        if len(self._buffer) < 2:
            return False
        if self._buffer.startswith(b"--"):
            self._state = "end"
            self._buffer.clear()
            return True
        at = self._buffer.find(b"\r\n")
        if at < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise MultipartError("malformed multipart delimiter")
            return False
        if self._buffer[:at].strip(b" \t"):
            raise MultipartError("malformed multipart delimiter")
        del self._buffer[: at + 2]
        self._state = "head"
        return True

    def _head(self) -> PartBegin | None:
        # A part without any header begins with the empty line itself.
        if self._buffer.startswith(b"\r\n"):
            raise MultipartError("a part has no headers")
        at = self._buffer.find(b"\r\n\r\n")
        if at < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise MultipartError("the headers of a part are too long")
            return None
        lines = bytes(self._buffer[:at]).decode("utf-8", "replace").split("\r\n")
        del self._buffer[: at + 4]
        self._state = "body"
        return _part_begin(lines)


def _part_begin(lines: list[str]) -> PartBegin:
    for line in lines:
        header, _, value = line.partition(":")
        if header.strip().lower() == "content-disposition":
            name = _parameter(value, "name")
            return PartBegin(name or "", _parameter(value, "filename"))
    raise MultipartError("a part has no content disposition")


def _parameter(value: str, name: str) -> str | None:
    found = re.search(rf';\s*{name}="((?:[^"\\]|\\.)*)"|;\s*{name}=([^;\s]+)', value)
    if found is None:
        return None
    text: str = found[1] if found[1] is not None else found[2]
    # Browsers and httpx write quotes as %22; others put a backslash before them.
    return re.sub(r"\\(.)", r"\1", text).replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
