"""Documents that only leave this machine encrypted: by Fernet of the cryptography package (AES-128-CBC, HMAC-SHA256).

The first key seals; all of them open, so that a key can be changed: what was sealed with the one before is read, and
what is written is sealed with the new one. The lock stays readable: it names its holder, and nothing else; and so does
what only says that nothing is there.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.stores.remote.fencing import is_placeholder
from nexus.stores.remote.objects import Objects, Stored

_MARK: Final = "nexus_sealed"
_BYTES: Final = 32


def key_of(text: str, name: str) -> Fernet:
    """The key that a text means: 32 bytes in base64. ``name`` is what messages call it."""
    try:
        key = base64.b64decode(text.strip().replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _BYTES:
        raise DiagnosticsError(_no_key(name))
    return Fernet(base64.urlsafe_b64encode(key))


class SealedObjects:
    """See :class:`nexus.stores.remote.objects.Objects`. ``keys`` are the one that seals, and those that still open."""

    def __init__(self, objects: Objects, keys: Sequence[Fernet]) -> None:
        self._objects = objects
        self._keys = MultiFernet(keys)

    @property
    def place(self) -> str:
        return self._objects.place

    def get(self, name: str) -> Stored | None:
        found = self._objects.get(name)
        if found is None or is_placeholder(found.content):
            return found
        token = _token(found.content)
        if token is None:
            raise DiagnosticsError(_is_open(f"{self.place}/{name}"))
        try:
            sealed_as, _, content = self._keys.decrypt(token).partition(b"\0")
        except InvalidToken:
            raise DiagnosticsError(_wrong_key(f"{self.place}/{name}")) from None
        if sealed_as != name.encode():  # the server has put one document in place of another
            raise DiagnosticsError(_wrong_key(f"{self.place}/{name}"))
        return Stored(content, found.version)

    def version(self, name: str) -> str | None:
        return self._objects.version(name)

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        if is_placeholder(content):
            return self._objects.put(name, content, expected)
        token = self._keys.encrypt(name.encode() + b"\0" + content).decode()
        return self._objects.put(name, json.dumps({_MARK: 1, "token": token}).encode(), expected)

    def remove(self, names: Sequence[str]) -> None:
        self._objects.remove(names)

    def names(self, prefix: str) -> Sequence[str]:
        return self._objects.names(prefix)

    def age(self, name: str) -> float | None:
        return self._objects.age(name)


class OpenObjects:
    """Documents that are not encrypted. Says so where one is, rather than that it is damaged."""

    def __init__(self, objects: Objects) -> None:
        self._objects = objects

    @property
    def place(self) -> str:
        return self._objects.place

    def get(self, name: str) -> Stored | None:
        found = self._objects.get(name)
        if found is not None and _token(found.content) is not None:
            raise DiagnosticsError(_is_sealed(f"{self.place}/{name}"))
        return found

    def version(self, name: str) -> str | None:
        return self._objects.version(name)

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        return self._objects.put(name, content, expected)

    def remove(self, names: Sequence[str]) -> None:
        self._objects.remove(names)

    def names(self, prefix: str) -> Sequence[str]:
        return self._objects.names(prefix)

    def age(self, name: str) -> float | None:
        return self._objects.age(name)


def _token(content: bytes) -> bytes | None:
    if not content.startswith(b'{"' + _MARK.encode()):
        return None
    try:
        match json.loads(content):
            case {"token": str(token)}:
                return token.encode()
    except ValueError:
        pass
    return None


def _no_key(name: str) -> Diagnostic:
    return error(
        "state-key-invalid",
        "The key of the state's encryption can't be used",
        detail=f"{name} is not 32 bytes in base64.",
        hint="«openssl rand -base64 32» makes one; keep it where it can't be lost: nothing opens the state without it",
    )


def _wrong_key(place: str) -> Diagnostic:
    return error(
        "state-key-wrong",
        "The state can't be opened with this key",
        detail=f"{place} was sealed with another key, or was changed by somebody else.",
        hint="give the key that it was sealed with under encryption.previous",
    )


def _is_sealed(place: str) -> Diagnostic:
    return error(
        "state-encrypted",
        "The state is encrypted, and no key is given",
        detail=f"{place} is sealed.",
        hint="say «encryption» under «state» in the manifest, as it was when the state was written",
    )


def _is_open(place: str) -> Diagnostic:
    return error(
        "state-not-encrypted",
        "The state is not encrypted, and the manifest says that it is",
        detail=f"{place} is readable by everybody who may read it there.",
        hint="«nexus state migrate» encrypts it",
    )
