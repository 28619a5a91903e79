"""Metadata of files: small texts kept as extended attributes, so that they follow a file through renames."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping

_NAMESPACE = "user.e2b."
_HEADER_PREFIX = "x-metadata-"
_MAX_KEY = 246
_MAX_TOTAL = 4096


class InvalidMetadataError(ValueError):
    """Metadata that cannot be stored; the text is for the client."""


def from_headers(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The metadata an upload asks for. Of a repeated header the first counts. Raises :class:`InvalidMetadataError`."""
    metadata: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key.startswith(_HEADER_PREFIX):
            metadata.setdefault(key.removeprefix(_HEADER_PREFIX), value)
    _check(metadata)
    return metadata


def read(path: str) -> dict[str, str]:
    """The metadata stored on ``path``; nothing on file systems without extended attributes."""
    try:
        names = [name for name in os.listxattr(path) if name.startswith(_NAMESPACE)]
        return {
            name.removeprefix(_NAMESPACE): os.getxattr(path, name).decode(errors="replace") for name in sorted(names)
        }
    except OSError:
        return {}


def replace(descriptor: int, metadata: Mapping[str, str]) -> None:
    """Make ``metadata`` the whole set stored on an open file. Does nothing where attributes are not supported."""
    try:
        for name in os.listxattr(descriptor):
            if name.startswith(_NAMESPACE) and name.removeprefix(_NAMESPACE) not in metadata:
                os.removexattr(descriptor, name)
        for key, value in metadata.items():
            os.setxattr(descriptor, _NAMESPACE + key, value.encode())
    except OSError as error:
        if error.errno not in (errno.ENOTSUP, errno.EPERM):
            raise


def _check(metadata: Mapping[str, str]) -> None:
    for key, value in metadata.items():
        if not key or not (_printable(key) and _printable(value)):
            raise InvalidMetadataError(f"metadata '{key!a}' is not printable US-ASCII")
        if len(key) > _MAX_KEY:
            raise InvalidMetadataError(f"metadata key '{key[:32]}…' is longer than {_MAX_KEY} bytes")
    total = sum(len(_NAMESPACE) + len(key) + len(value) for key, value in metadata.items())
    if total > _MAX_TOTAL:
        raise InvalidMetadataError(f"metadata takes {total} bytes, more than {_MAX_TOTAL}")


def _printable(text: str) -> bool:
    return all(" " <= character <= "~" for character in text)
