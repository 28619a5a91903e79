"""Errors of envd's plain HTTP routes: ``{"code", "message"}`` with the same status."""

from __future__ import annotations

import errno

from starlette.responses import JSONResponse


class RequestError(Exception):
    """An answer other than success; ``status`` is the HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def response(self) -> JSONResponse:
        return JSONResponse({"code": self.status, "message": self.message}, self.status)


def from_os_error(error: OSError, path: str) -> RequestError:
    """What an operating system error on ``path`` means to a client of ``/files``."""
    match error.errno:
        case errno.ENOENT:
            return RequestError(404, f"path '{path}' does not exist")
        case errno.EISDIR:
            return RequestError(400, f"path '{path}' is a directory")
        case errno.ENOTDIR | errno.ENXIO | errno.ELOOP | errno.ENAMETOOLONG | errno.EINVAL:
            return RequestError(400, f"invalid path '{path}': {error.strerror}")
        case errno.ENOSPC | errno.EDQUOT:
            return RequestError(507, "not enough disk space available")
        case _:
            return RequestError(500, f"error opening file '{path}': {error.strerror}")
