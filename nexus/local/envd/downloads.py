"""``GET /files``: whole files, ranges of them, or gzip, always in bounded pieces."""

from __future__ import annotations

import email.utils
import io
import mimetypes
import os
import re
import stat
import zlib
from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from nexus.local.envd.http_errors import RequestError, from_os_error

_PIECE = 256 * 1024
_GZIP = 16 + zlib.MAX_WBITS
# Only the table that comes with Python: the host's own files must not decide, nor be read later.
_TYPES = mimetypes.MimeTypes(filenames=())


def send_download(request: Request, path: str) -> Response:
    """The answer with the content of the file at ``path``. Raises :class:`RequestError`."""
    return _respond(request, path, _open(path))


def _open(path: str) -> io.FileIO:
    """The file, as an object that closes itself even when its answer is never begun."""
    try:
        file = io.FileIO(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK))
    except IsADirectoryError as error:
        raise RequestError(400, f"path '{path}' is a directory") from error
    except OSError as error:
        raise from_os_error(error, path) from error
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise RequestError(400, f"path '{path}' is not a regular file")
    return file


def _respond(request: Request, path: str, file: io.FileIO) -> Response:
    status = os.fstat(file.fileno())
    headers = {
        "content-disposition": _disposition(path),
        "content-type": _content_type(path, file.fileno()),
        "last-modified": email.utils.formatdate(status.st_mtime, usegmt=True),
        "vary": "Accept-Encoding",
    }
    if _not_modified(request.headers, status.st_mtime):
        file.close()
        return Response(status_code=304, headers=headers)
    conditional = "if-modified-since" in request.headers or "if-range" in request.headers
    if (
        "range" not in request.headers
        and not conditional
        and _asks_for_gzip(request.headers.get("accept-encoding", ""))
    ):
        return StreamingResponse(_gzipped(_pieces(file, 0, None)), headers=headers | {"content-encoding": "gzip"})
    if status.st_size == 0:
        # Files of /proc say that they are empty and still have content.
        return StreamingResponse(_pieces(file, 0, None), headers=headers)
    return _plain(request.headers, status, file, headers | {"accept-ranges": "bytes"})


def _plain(asked: Mapping[str, str], status: os.stat_result, file: io.FileIO, headers: dict[str, str]) -> Response:
    size = status.st_size
    span = _range(asked.get("range", ""), size) if _range_holds(asked, headers) else None
    if span is None:
        headers["content-length"] = str(size)
        return StreamingResponse(_pieces(file, 0, size), headers=headers)
    first, last = span
    if first > last:
        file.close()
        return Response(status_code=416, headers={"content-range": f"bytes */{size}"})
    headers["content-length"] = str(last - first + 1)
    headers["content-range"] = f"bytes {first}-{last}/{size}"
    return StreamingResponse(_pieces(file, first, last - first + 1), 206, headers)


def _range(header: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range, first > last when it lies outside; None means the whole file.

    Several ranges at once are answered by the whole file, as HTTP allows.
    """
    found = re.fullmatch(r"\s*bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*", header)
    if found is None or found.groups() == ("", ""):
        return None
    first, last = found.groups()
    if not first:
        return (max(size - int(last), 0), size - 1) if int(last) else (size, size - 1)
    if last and int(last) < int(first):
        return None
    end = min(int(last), size - 1) if last else size - 1
    return (int(first), end) if int(first) < size else (size, size - 1)


def _range_holds(asked: Mapping[str, str], headers: Mapping[str, str]) -> bool:
    """Whether ``If-Range`` allows a partial answer."""
    condition = asked.get("if-range")
    return condition is None or condition == headers["last-modified"]


def _not_modified(asked: Mapping[str, str], modified: float) -> bool:
    since = asked.get("if-modified-since")
    if since is None or "if-none-match" in asked:
        return False
    try:
        return int(modified) <= email.utils.parsedate_to_datetime(since).timestamp()
    except ValueError:
        return False


def _asks_for_gzip(accept: str) -> bool:
    """Whether gzip is the one encoding asked for.

    Nothing is gained by packing for a client on the same host, so one that merely knows gzip among others gets the file
    as it is, ten times as fast.
    """
    return re.fullmatch(r"\s*gzip\s*(;\s*q=(1(\.0*)?|0\.\d*[1-9]\d*)\s*)?", accept, re.IGNORECASE) is not None


async def _pieces(file: io.FileIO, start: int, length: int | None) -> AsyncIterator[bytes]:
    """Read ``length`` bytes from ``start``, or up to the end; closes the file."""
    with file:
        while length is None or length > 0:
            data = os.pread(file.fileno(), _PIECE if length is None else min(_PIECE, length), start)
            if not data:
                return
            yield data
            start += len(data)
            if length is not None:
                length -= len(data)


async def _gzipped(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    # The fastest level: the data crosses no slow network.
    encoder = zlib.compressobj(1, zlib.DEFLATED, _GZIP)
    async for piece in pieces:
        if packed := encoder.compress(piece):
            yield packed
    yield encoder.flush()


def _content_type(path: str, descriptor: int) -> str:
    guess, encoding = _TYPES.guess_type(path.replace(";", "_"), strict=False)
    if encoding is not None:
        guess = f"application/{encoding}"
    if guess is None:
        guess = "text/plain" if _looks_like_text(os.pread(descriptor, 512, 0)) else "application/octet-stream"
    return f"{guess}; charset=utf-8" if guess.startswith("text/") else guess


def _looks_like_text(head: bytes) -> bool:
    return not any(byte < 32 and byte not in b"\t\n\f\r\x1b" for byte in head)


def _disposition(path: str) -> str:
    name = os.path.basename(path)
    if re.fullmatch(r"[\w.+-]+", name, re.ASCII):
        return f"inline; filename={name}"
    if name.isascii() and name.isprintable():
        escaped = name.replace("\\", "\\\\").replace('"', '\\"')
        return f'inline; filename="{escaped}"'
    return f"inline; filename*=utf-8''{quote(name.encode('utf-8', 'surrogateescape'), safe='')}"
