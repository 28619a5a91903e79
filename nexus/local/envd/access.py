"""Who may ask envd for what: the access token, signed file URLs, and the user an RPC names."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import time
from dataclasses import dataclass
from typing import Literal, Protocol

Operation = Literal["read", "write"]

TOKEN_HEADER = "x-access-token"  # noqa: S105 - a header's name


class Headers(Protocol):
    """What is needed of either framework's header mapping: lookup without regard to case."""

    def get(self, key: str, default: str, /) -> str: ...


class AccessDeniedError(Exception):
    """The request shows no sufficient right; the text is for the client."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileClaim:
    """What a ``/files`` URL says of itself. ``expiration`` is in Unix seconds."""

    path: str
    operation: Operation
    username: str
    signature: str | None
    expiration: int | None


def sign(claim: FileClaim, token: str) -> str:
    """The version 1 signature of ``claim`` under a sandbox's access token."""
    raw = f"{claim.path}:{claim.operation}:{claim.username}:{token}"
    if claim.expiration is not None:
        raw += f":{claim.expiration}"
    digest = hashlib.sha256(raw.encode("utf-8", "surrogateescape")).digest()
    return "v1_" + base64.b64encode(digest).rstrip(b"=").decode()


def is_signed_with(claim: FileClaim, token: str) -> bool:
    """Whether ``token`` made the signature; takes the same time either way."""
    return hmac.compare_digest(sign(claim, token).encode(), (claim.signature or "").encode("utf-8", "surrogateescape"))


def check_token(headers: Headers, token: str | None) -> None:
    """Demand the access token in the header. Raises :class:`AccessDeniedError`."""
    if token is None or _same(headers.get(TOKEN_HEADER, ""), token):
        return
    raise AccessDeniedError("unauthorized access, please provide a valid access token or method signing if supported")


def check_file_access(headers: Headers, claim: FileClaim, token: str | None) -> None:
    """Demand the access token or a valid signature. Raises :class:`AccessDeniedError`."""
    if token is None:
        return
    shown = headers.get(TOKEN_HEADER, "")
    if shown:
        if not _same(shown, token):
            raise AccessDeniedError("access token present in header but does not match")
        return
    if claim.signature is None:
        raise AccessDeniedError("missing signature query parameter")
    if not is_signed_with(claim, token):
        raise AccessDeniedError("invalid signature")
    if claim.expiration is not None and claim.expiration < time.time():
        raise AccessDeniedError("signature is already expired")


def rpc_username(headers: Headers) -> str | None:
    """The user that an RPC names by basic authentication, or None for the default one."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[0] or None
    except (binascii.Error, UnicodeDecodeError):
        return None


def _same(shown: str, token: str) -> bool:
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), token.encode())
