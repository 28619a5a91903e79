"""``/volumecontent``: the files of a volume, for whoever shows that volume's token."""

from __future__ import annotations

import asyncio
import hmac
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Final

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from nexus.local.control_plane.bodies import Fields, query_number, read_fields
from nexus.local.control_plane.sandbox_wire import Json, wire_time
from nexus.local.errors import EngineError, InvalidRequestError, UnauthorizedError
from nexus.local.volumes import Entry, VolumeContent, Wishes

_PIECE: Final = 1024 * 1024
_LARGEST_ID: Final = 2**32 - 2
_LARGEST_MODE: Final = 0o7777

Handler = Callable[[Request, VolumeContent], Awaitable[Response]]


class VolumeContentRoutes:
    """``content_of`` finds the content of a volume by its id, ``token`` derives a secret from a purpose and an id."""

    def __init__(self, content_of: Callable[[str], VolumeContent], token: Callable[[str, str], str]) -> None:
        self._content_of = content_of
        self._token = token

    def routes(self) -> list[Route]:
        one = "/volumecontent/{volume_id}"
        table: list[tuple[str, str, Handler]] = [
            ("GET", "path", _stat),
            ("PATCH", "path", _update),
            ("DELETE", "path", _remove),
            ("GET", "dir", _list),
            ("POST", "dir", _make_folder),
            ("GET", "file", _download),
            ("PUT", "file", _upload),
        ]
        return [
            Route(f"{one}/{part}", partial(self._serve, handler), methods=[method]) for method, part, handler in table
        ]

    async def _serve(self, handler: Handler, request: Request) -> Response:
        try:
            return await handler(request, self._authorised(request))
        except EngineError as error:
            # Unlike the rest of the API, its document makes the code a text.
            body = {"code": str(error.status), "message": error.message}
            return JSONResponse(body, status_code=error.status)

    def _authorised(self, request: Request) -> VolumeContent:
        """The content the request may work on. Its token is looked at first, so that ids cannot be guessed."""
        volume_id = str(request.path_params["volume_id"])
        scheme, _, shown = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not shown:
            raise UnauthorizedError("Missing volume token: send it as Authorization: Bearer")
        if not hmac.compare_digest(shown.strip().encode(), self._token("volume", volume_id.lower()).encode()):
            raise UnauthorizedError("Invalid volume token: it is not this volume's")
        return self._content_of(volume_id)


async def _stat(request: Request, content: VolumeContent) -> Response:
    return JSONResponse(_entry(await asyncio.to_thread(content.stat, _path(request))))


async def _update(request: Request, content: VolumeContent) -> Response:
    fields = await read_fields(request)
    wishes = Wishes(
        uid=_bounded(fields, "uid", _LARGEST_ID),
        gid=_bounded(fields, "gid", _LARGEST_ID),
        mode=_bounded(fields, "mode", _LARGEST_MODE),
    )
    return JSONResponse(_entry(await asyncio.to_thread(content.update, _path(request), wishes)))


async def _remove(request: Request, content: VolumeContent) -> Response:
    await asyncio.to_thread(content.remove, _path(request))
    return Response(status_code=204)


async def _list(request: Request, content: VolumeContent) -> Response:
    depth = query_number(request, "depth", 1, high=2**32 - 1)
    entries = await asyncio.to_thread(content.list, _path(request), depth)
    return JSONResponse([_entry(entry) for entry in entries])


async def _make_folder(request: Request, content: VolumeContent) -> Response:
    make = partial(content.make_folder, _path(request), _wishes(request), parents=_force(request))
    return JSONResponse(_entry(await asyncio.to_thread(make)), status_code=201)


async def _download(request: Request, content: VolumeContent) -> Response:
    fd, size = await asyncio.to_thread(content.open_file, _path(request))
    return StreamingResponse(
        _pieces(fd, size), media_type="application/octet-stream", headers={"Content-Length": str(size)}
    )


async def _pieces(fd: int, size: int) -> AsyncIterator[bytes]:
    """The file as long as it was when it was opened: a sandbox may go on writing to it."""
    try:
        while size > 0 and (piece := await asyncio.to_thread(os.read, fd, min(size, _PIECE))):
            size -= len(piece)
            yield piece
    finally:
        os.close(fd)


async def _upload(request: Request, content: VolumeContent) -> Response:
    wishes = _wishes(request)
    upload = await asyncio.to_thread(partial(content.begin_upload, _path(request), overwrite=_force(request)))
    try:
        async for piece in request.stream():
            if piece:
                await asyncio.to_thread(upload.write, piece)
        entry = await asyncio.to_thread(upload.finish, wishes)
    except ClientDisconnect:
        # Nobody is there to read this, and nothing has changed.
        raise InvalidRequestError("the upload was cut off") from None
    finally:
        upload.discard()
    return JSONResponse(_entry(entry), status_code=201)


def _path(request: Request) -> str:
    path = request.query_params.get("path")
    if not path:
        raise InvalidRequestError("Invalid query: path is required")
    return path


def _wishes(request: Request) -> Wishes:
    def number(key: str, highest: int) -> int | None:
        return query_number(request, key, 0, high=highest) if request.query_params.get(key) else None

    return Wishes(uid=number("uid", _LARGEST_ID), gid=number("gid", _LARGEST_ID), mode=number("mode", _LARGEST_MODE))


def _force(request: Request) -> bool:
    match request.query_params.get("force", "").lower():
        case "" | "false" | "0":
            return False
        case "true" | "1":
            return True
        case _:
            raise InvalidRequestError("Invalid query: force must be true or false")


def _bounded(fields: Fields, key: str, highest: int) -> int | None:
    value = fields.optional_number(key)
    if value is not None and not 0 <= value <= highest:
        raise InvalidRequestError(f"Invalid request body: {key} must be between 0 and {highest}")
    return value


def _entry(entry: Entry) -> Json:
    body: Json = {
        "name": entry.name,
        "type": entry.type,
        "path": entry.path,
        "size": entry.size,
        "mode": entry.mode,
        "uid": entry.uid,
        "gid": entry.gid,
        "atime": wire_time(entry.accessed),
        "mtime": wire_time(entry.modified),
        "ctime": wire_time(entry.changed),
    }
    if entry.target is not None:
        body["target"] = entry.target
    return body
