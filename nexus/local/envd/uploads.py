"""``POST /files``: bodies go to disk piece by piece, whatever their size."""

from __future__ import annotations

import os
import stat
import zlib
from collections.abc import AsyncIterator, Callable

from starlette.requests import Request

from nexus.local.envd import entries, metadata
from nexus.local.envd.accounts import Account
from nexus.local.envd.http_errors import RequestError, from_os_error
from nexus.local.envd.multipart import MultipartError, MultipartParser, PartBegin, PartData, PartEnd, boundary_of

Resolve = Callable[[str], str]

_GZIP = 16 + zlib.MAX_WBITS


async def receive_upload(request: Request, resolve: Resolve, account: Account) -> list[dict[str, object]]:
    """Store what the request carries and describe each file, in order.

    ``resolve`` makes the paths of clients absolute. Raises :class:`RequestError`.
    """
    attributes = _metadata(request)
    body = _body(request)
    content_type = request.headers.get("content-type", "")
    kind = content_type.partition(";")[0].strip().lower()
    path = request.query_params.get("path", "")
    if kind == "multipart/form-data":
        paths = await _store_parts(body, content_type, path, resolve, account, attributes)
    elif kind == "application/octet-stream":
        if not path:
            raise RequestError(400, "the 'path' query parameter is required for application/octet-stream")
        paths = [await _store_body(body, resolve(path), account, attributes)]
    else:
        raise RequestError(
            400, f"unsupported content type '{kind}', use multipart/form-data or application/octet-stream"
        )
    return [entries.upload_result(path) for path in paths]


class FileSink:
    """One file being written: its parents are made, a new file belongs to the account, an old one keeps its mode."""

    def __init__(self, path: str, account: Account, attributes: dict[str, str]) -> None:
        self.path = path
        self._attributes = attributes
        try:
            entries.make_directories(os.path.dirname(path), account)
            self._descriptor = _open(path, account)
        except OSError as error:
            raise from_os_error(error, path) from error

    def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def complete(self) -> None:
        try:
            metadata.replace(self._descriptor, self._attributes)
        except OSError as error:
            raise from_os_error(error, self.path) from error

    def close(self) -> None:
        os.close(self._descriptor)


def _open(path: str, account: Account) -> int:
    # Without O_NONBLOCK a named pipe that nobody reads would stop the whole of envd.
    flags = os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        descriptor = os.open(path, flags | os.O_CREAT | os.O_TRUNC, 0o644)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RequestError(400, f"path '{path}' is not a regular file")
    entries.give_to(descriptor, account)
    return descriptor


async def _store_body(body: AsyncIterator[bytes], path: str, account: Account, attributes: dict[str, str]) -> str:
    sink = FileSink(path, account, attributes)
    try:
        async for data in body:
            sink.write(data)
        sink.complete()
    finally:
        sink.close()
    return path


async def _store_parts(
    body: AsyncIterator[bytes],
    content_type: str,
    query_path: str,
    resolve: Resolve,
    account: Account,
    attributes: dict[str, str],
) -> list[str]:
    paths: list[str] = []
    sink: FileSink | None = None
    try:
        parser = MultipartParser(boundary_of(content_type))
        async for data in body:
            for event in parser.feed(data):
                match event:
                    case PartBegin(name="file", filename=filename):
                        path = resolve(_part_path(query_path, filename))
                        if path in paths:
                            raise RequestError(400, f"you cannot upload multiple files to the same path '{path}'")
                        paths.append(path)
                        sink = FileSink(path, account, attributes)
                    case PartData(piece) if sink is not None:
                        sink.write(piece)
                    case PartEnd() if sink is not None:
                        sink.complete()
                        sink.close()
                        sink = None
        parser.finish()
    except MultipartError as error:
        raise RequestError(400, f"error reading form: {error}") from error
    finally:
        if sink is not None:
            sink.close()
    return paths


def _part_path(query_path: str, filename: str | None) -> str:
    """Where a part goes: the query names the one file of a call, otherwise each part names its own."""
    path = query_path or filename
    if not path:
        raise RequestError(400, "a 'file' part has neither a filename nor a 'path' query parameter")
    return path


def _metadata(request: Request) -> dict[str, str]:
    try:
        return metadata.from_headers(request.headers.items())
    except metadata.InvalidMetadataError as error:
        raise RequestError(400, str(error)) from error


async def _body(request: Request) -> AsyncIterator[bytes]:
    match request.headers.get("content-encoding", "identity").strip().lower():
        case "identity" | "":
            async for data in request.stream():
                yield data
        case "gzip":
            async for data in _gunzip(request):
                yield data
        case other:
            raise RequestError(400, f"unsupported content encoding '{other}'")


async def _gunzip(request: Request) -> AsyncIterator[bytes]:
    decoder = zlib.decompressobj(_GZIP)
    try:
        async for data in request.stream():
            # Bounded pieces, because a small body may unpack to a huge one.
            pending = data
            while pending and not decoder.eof:
                yield decoder.decompress(pending, 1 << 20)
                pending = decoder.unconsumed_tail
    except zlib.error as error:
        raise RequestError(400, f"error decompressing the body: {error}") from error
    if not decoder.eof:
        raise RequestError(400, "error decompressing the body: unexpected end")
