"""The ``/files`` routes: access, user and path first, then upload, download or composition."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
from dataclasses import dataclass
from typing import BinaryIO

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from nexus.local.envd import entries
from nexus.local.envd.access import AccessDeniedError, FileClaim, Operation, check_file_access, check_token
from nexus.local.envd.accounts import Account, UnknownUserError
from nexus.local.envd.context import Context
from nexus.local.envd.downloads import send_download
from nexus.local.envd.http_errors import RequestError, from_os_error
from nexus.local.envd.json_bodies import read_json
from nexus.local.envd.uploads import receive_upload

_COPY_PIECE = 1024 * 1024
_SECONDS = re.compile(r"-?[0-9]{1,18}")


def file_routes(context: Context) -> list[Route]:
    """``/files`` and ``/files/compose``."""
    files = FileRoutes(context)
    return [
        Route("/files", files.carry, methods=["GET", "POST"]),
        Route("/files/compose", files.compose, methods=["POST"]),
    ]


class FileRoutes:
    """Handlers of the plain HTTP file routes."""

    def __init__(self, context: Context) -> None:
        self._context = context

    async def carry(self, request: Request) -> Response:
        """Both ways on one route, so that what refuses other methods names both."""
        return await (self.upload(request) if request.method == "POST" else self.download(request))

    async def download(self, request: Request) -> Response:
        try:
            self._check_access(request, "read")
            account = self._account(request.query_params.get("username"))
            return send_download(request, self._path(request.query_params.get("path", ""), account))
        except RequestError as error:
            return error.response()

    async def upload(self, request: Request) -> Response:
        try:
            self._check_access(request, "write")
            account = self._account(request.query_params.get("username"))
            return JSONResponse(await receive_upload(request, lambda path: self._path(path, account), account))
        except RequestError as error:
            return error.response()
        except ClientDisconnect:
            return RequestError(400, "the client left before the upload was complete").response()

    async def compose(self, request: Request) -> Response:
        """Join files into one and remove them."""
        try:
            self._check_header(request)
            wish = await _compose_request(request)
            account = self._account(wish.username)
            sources = [self._path(path, account) for path in wish.sources]
            destination = self._path(wish.destination, account)
            await _join(sources, destination, account)
            return JSONResponse(entries.upload_result(destination))
        except RequestError as error:
            return error.response()

    def _check_access(self, request: Request, operation: Operation) -> None:
        query = request.query_params
        expiration = query.get("signature_expiration")
        if expiration is not None and _SECONDS.fullmatch(expiration) is None:
            raise RequestError(400, "invalid signature_expiration: a Unix time in seconds is expected")
        claim = FileClaim(
            path=query.get("path", ""),
            operation=operation,
            username=query.get("username", ""),
            signature=query.get("signature"),
            expiration=None if expiration is None else int(expiration),
        )
        try:
            check_file_access(request.headers, claim, self._context.config.access_token)
        except AccessDeniedError as error:
            raise RequestError(401, str(error)) from error

    def _check_header(self, request: Request) -> None:
        try:
            check_token(request.headers, self._context.config.access_token)
        except AccessDeniedError as error:
            raise RequestError(401, str(error)) from error

    def _path(self, path: str, account: Account) -> str:
        if "\0" in path:
            raise RequestError(400, "invalid path: it contains a null byte")
        return self._context.resolve(path, account)

    def _account(self, username: str | None) -> Account:
        try:
            return self._context.account(username)
        except UnknownUserError as error:
            raise RequestError(
                401, f"error looking up user '{error.username}': user: unknown user {error.username}"
            ) from error


@dataclass(frozen=True, slots=True)
class _ComposeWish:
    sources: list[str]
    destination: str
    username: str | None


async def _compose_request(request: Request) -> _ComposeWish:
    try:
        body = await read_json(request)
        sources, destination, username = body["source_paths"], body["destination"], body.get("username")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RequestError(400, "the body must be JSON with 'source_paths' and 'destination'") from error
    if not isinstance(sources, list) or not sources or not all(isinstance(path, str) and path for path in sources):
        raise RequestError(400, "'source_paths' must be a list of paths")
    if not isinstance(destination, str) or not destination or not isinstance(username, str | None):
        raise RequestError(400, "'destination' must be a path")
    return _ComposeWish(sources, destination, username)


async def _join(sources: list[str], destination: str, account: Account) -> None:
    """Concatenate into a neighbour of the destination and put it in place only when all is written."""
    for source in sources:
        if not os.path.isfile(source):
            raise RequestError(404, f"path '{source}' does not exist")
    if os.path.isdir(destination):
        raise RequestError(400, f"path '{destination}' is a directory")
    temporary = f"{destination}.composing-{os.urandom(6).hex()}"
    try:
        entries.make_directories(os.path.dirname(destination), account)
        with open(temporary, "xb") as target:  # noqa: ASYNC230 - envd has one thread on purpose
            for source in sources:
                await _append(source, target)
            entries.give_to(target.fileno(), account)
        os.replace(temporary, destination)
        for source in sources:
            if source != destination:
                # Another request may have joined, and removed, the same files meanwhile.
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(source)
    except OSError as error:
        raise from_os_error(error, destination) from error
    finally:
        if os.path.lexists(temporary):
            os.unlink(temporary)


async def _append(source: str, target: BinaryIO) -> None:
    """Copy a file of any size, giving others a turn between pieces."""
    with open(source, "rb") as file:  # noqa: ASYNC230 - envd has one thread on purpose
        while piece := file.read(_COPY_PIECE):
            target.write(piece)
            await asyncio.sleep(0)
