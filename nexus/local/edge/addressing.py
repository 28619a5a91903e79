"""Which sandbox and which port a request means."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from nexus.local.edge.directory import Directory
from nexus.local.envd.access import AccessDeniedError, FileClaim, is_signed_with

ENVD_PORT = 49983

_PORT = re.compile(r"[0-9]{1,5}")
_SECONDS = re.compile(r"[0-9]{1,18}")
_HOST = re.compile(r"(\d{1,5})-([A-Za-z0-9]+)(?:-[A-Za-z0-9-]*)?\.")
# What only the daemon itself may ask of envd, over the machine's socket.
_INTERNAL_PATHS = frozenset({"/init", "/logs", "/freeze", "/unfreeze", "/collapse", "/fsfreeze", "/fsthaw", "/upgrade"})


class Headers(Protocol):
    """Lookup of a header by its lower-case name."""

    def get(self, name: str, default: str = "", /) -> str: ...


@dataclass(frozen=True, slots=True)
class Target:
    """One port of one sandbox."""

    sandbox_id: str
    port: int


class BadAddressError(Exception):
    """The request does not say, or not clearly, which sandbox it means."""


def target_of(method: str, url: str, headers: Headers, directory: Directory) -> Target:
    """The target of a request: by its Host, by E2B's two headers, or by the token that signed its URL.

    Raises :class:`BadAddressError`, or AccessDeniedError for a URL that needs a signature and has no valid one.
    """
    target = _by_host(headers.get("host")) or _by_headers(headers)
    if target is not None:
        return target
    if urlsplit(url).path != "/files":
        raise BadAddressError("the request names no sandbox: neither by its host nor by headers nor by a signed URL")
    return _by_signature(_claim(method, url), directory)


def is_internal(target: Target, url: str) -> bool:
    """Whether the path is closed to everyone outside."""
    return target.port == ENVD_PORT and unquote(urlsplit(url).path) in _INTERNAL_PATHS


def is_upload(method: str, url: str) -> bool:
    """Whether the request sends a file to envd."""
    return method == "POST" and unquote(urlsplit(url).path) == "/files"


def _by_host(host: str) -> Target | None:
    found = _HOST.match(host)
    return Target(found[2].lower(), _port(found[1])) if found else None


def _by_headers(headers: Headers) -> Target | None:
    sandbox_id, port = headers.get("e2b-sandbox-id"), headers.get("e2b-sandbox-port")
    if not sandbox_id and not port:
        return None
    if not sandbox_id or not port:
        missing = "E2b-Sandbox-Port" if sandbox_id else "E2b-Sandbox-Id"
        raise BadAddressError(f"missing header '{missing}': the two sandbox headers go together")
    return Target(sandbox_id.partition("-")[0].lower(), _port(port))


def _port(text: str) -> int:
    if _PORT.fullmatch(text) is None or not 0 < int(text) < 65536:
        raise BadAddressError(f"invalid sandbox port '{text[:16]}'")
    return int(text)


def _by_signature(claim: FileClaim, directory: Directory) -> Target:
    """The sandbox whose token made the signature; every token is tried, so that time tells nothing."""
    if claim.signature is None:
        raise AccessDeniedError("missing signature query parameter")
    signers = [sandbox_id for sandbox_id, token in directory.tokens() if is_signed_with(claim, token)]
    if not signers:
        raise AccessDeniedError("invalid signature")
    return Target(signers[0], ENVD_PORT)


def _claim(method: str, url: str) -> FileClaim:
    query = parse_qs(urlsplit(url).query, keep_blank_values=True)
    expiration = query.get("signature_expiration", [""])[0]
    return FileClaim(
        path=query.get("path", [""])[0],
        operation="write" if method == "POST" else "read",
        username=query.get("username", [""])[0],
        signature=query.get("signature", [None])[0],
        expiration=int(expiration) if _SECONDS.fullmatch(expiration) else None,
    )
