"""Secrets by name: created, given new versions, listed, destroyed. Only what leaves a sandbox ever sees a value."""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from nexus.local.clock import Clock
from nexus.local.documents import clear_leftovers, read_document, remove_document, write_document
from nexus.local.errors import ConflictError, InvalidRequestError, NotFoundError
from nexus.local.secrets.vault import SealError, Vault

_NAME: Final = re.compile(r"[a-z0-9_-]{1,128}")
_ID_PREFIX: Final = "sec_"
_ID_LETTERS: Final = string.ascii_lowercase + string.digits
_LARGEST_VALUE: Final = 64 * 1024
_MOST_ENTRIES: Final = 32
_LONGEST_KEY: Final = 128
_LONGEST_VALUE: Final = 1024
_LARGEST_METADATA: Final = 8192
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    """What may be told of a secret. ``sealed`` is its present value, for the vault alone."""

    id: str
    name: str
    version: int
    metadata: Mapping[str, str]
    created_at: datetime
    updated_at: datetime
    sealed: str

    @property
    def purpose(self) -> str:
        """What its value is sealed for: a value cannot pass for another secret's, or for an older version."""
        return f"secret:{self.id}:{self.version}"


class SecretRegistry:
    """The secrets of one engine. Names are compared and kept in lower case."""

    def __init__(self, folder: Path, vault: Vault, clock: Clock) -> None:
        self._folder = folder
        self._vault = vault
        self._clock = clock
        self._secrets: dict[str, Secret] = {}
        self._writing = asyncio.Lock()

    def open(self) -> None:
        """Read the records. A damaged one is reported in the log and left where it is."""
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self._folder)
        for path in sorted(self._folder.glob("*.json")):
            try:
                document = read_document(path)
                if document is not None:
                    secret = _decode(document)
                    self._vault.open(secret.sealed, secret.purpose)
                    self._secrets[secret.id] = secret
            except (ValueError, KeyError, TypeError, SealError) as error:
                _log.error("secret record %s cannot be read: %s", path, error)

    def list(self) -> list[Secret]:
        """Newest first."""
        return sorted(self._secrets.values(), key=lambda secret: (secret.created_at, secret.id), reverse=True)

    def get(self, selector: str) -> Secret:
        """By id or name. Raises NotFoundError."""
        if (secret := self._find(selector)) is None:
            raise NotFoundError(f"Secret '{selector[:128]}' not found")
        return secret

    def value(self, name: str) -> str:
        """The present value. Raises NotFoundError. For what leaves sandboxes, never for an answer of the API."""
        secret = self.get(name)
        return self._vault.open(secret.sealed, secret.purpose)

    async def create(
        self, name: str, value: str, metadata: Mapping[str, str], room: Callable[[int], None] = lambda _existing: None
    ) -> Secret:
        """Raises InvalidRequestError, and ConflictError for a name that is taken.

        ``room`` is asked whether there may be one more beside so many, and raises when not.
        """
        canonical = _checked_name(name)
        _check_value(value)
        _check_metadata(metadata)
        async with self._writing:
            room(len(self._secrets))
            if self._find(canonical) is not None:
                raise ConflictError(f"Secret with name '{canonical}' already exists")
            now = self._clock.now()
            secret = Secret(
                id=_new_id(),
                name=canonical,
                version=0,
                metadata=dict(metadata),
                created_at=now,
                updated_at=now,
                sealed="",
            )
            return await self._keep(secret, value)

    async def update(self, selector: str, value: str, metadata: Mapping[str, str] | None) -> Secret:
        """A new version. ``metadata`` None keeps what there is. Raises NotFoundError and InvalidRequestError."""
        _check_value(value)
        if metadata is not None:
            _check_metadata(metadata)
        async with self._writing:
            present = self.get(selector)
            kept = present.metadata if metadata is None else dict(metadata)
            return await self._keep(replace(present, metadata=kept, updated_at=self._clock.now()), value)

    async def destroy(self, selector: str) -> None:
        """Raises NotFoundError."""
        async with self._writing:
            secret = self.get(selector)
            await asyncio.to_thread(remove_document, self._path(secret.id))
            del self._secrets[secret.id]

    async def _keep(self, before: Secret, value: str) -> Secret:
        """Write the next version down, then show it."""
        secret = replace(before, version=before.version + 1)
        secret = replace(secret, sealed=self._vault.seal(value, secret.purpose))
        await asyncio.to_thread(write_document, self._path(secret.id), _encode(secret))
        self._secrets[secret.id] = secret
        return secret

    def _find(self, selector: str) -> Secret | None:
        wanted = selector.lower()
        if (by_id := self._secrets.get(wanted)) is not None:
            return by_id
        return next((secret for secret in self._secrets.values() if secret.name == wanted), None)

    def _path(self, secret_id: str) -> Path:
        return self._folder / f"{secret_id}.json"


def _checked_name(name: str) -> str:
    canonical = name.lower()
    if _NAME.fullmatch(canonical) is None:
        raise InvalidRequestError(
            "Invalid secret name: only letters, digits, hyphens and underscores are allowed, 128 at most"
        )
    if canonical.startswith(_ID_PREFIX):
        raise InvalidRequestError(f"Invalid secret name: names that begin with '{_ID_PREFIX}' are reserved")
    return canonical


def _check_value(value: str) -> None:
    if not value:
        raise InvalidRequestError("value is required")
    if len(value.encode()) > _LARGEST_VALUE:
        raise InvalidRequestError(f"value is larger than {_LARGEST_VALUE} bytes")


def _check_metadata(metadata: Mapping[str, str]) -> None:
    if len(metadata) > _MOST_ENTRIES:
        raise InvalidRequestError(f"metadata has more than {_MOST_ENTRIES} entries")
    total = 0
    for key, value in metadata.items():
        sizes = len(key.encode()), len(value.encode())
        if not key or sizes[0] > _LONGEST_KEY:
            raise InvalidRequestError(f"metadata keys must have 1 to {_LONGEST_KEY} bytes")
        if sizes[1] > _LONGEST_VALUE:
            raise InvalidRequestError(f"metadata value of '{key}' is longer than {_LONGEST_VALUE} bytes")
        total += sum(sizes)
    if total > _LARGEST_METADATA:
        raise InvalidRequestError(f"metadata is larger than {_LARGEST_METADATA} bytes")


def _new_id() -> str:
    return _ID_PREFIX + "".join(secrets.choice(_ID_LETTERS) for _ in range(24))


def _encode(secret: Secret) -> dict[str, object]:
    return {
        "id": secret.id,
        "name": secret.name,
        "version": secret.version,
        "metadata": dict(secret.metadata),
        "created_at": secret.created_at.isoformat(),
        "updated_at": secret.updated_at.isoformat(),
        "sealed": secret.sealed,
    }


def _decode(document: Mapping[str, object]) -> Secret:
    metadata, version = document["metadata"], document["version"]
    if not isinstance(metadata, dict) or not isinstance(version, int):
        raise TypeError("a field has the wrong type")
    return Secret(
        id=str(document["id"]),
        name=str(document["name"]),
        version=version,
        metadata={str(key): str(value) for key, value in metadata.items()},
        created_at=datetime.fromisoformat(str(document["created_at"])),
        updated_at=datetime.fromisoformat(str(document["updated_at"])),
        sealed=str(document["sealed"]),
    )
