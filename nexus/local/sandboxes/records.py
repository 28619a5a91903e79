"""Sandbox records on disk, one durable JSON document each: a new daemon goes on where the last one stopped."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nexus.local.documents import DocumentWriter, clear_leftovers, read_document
from nexus.local.relay.identity import IdentityToken
from nexus.local.sandboxes import network_settings
from nexus.local.sandboxes.model import (
    Bootable,
    Lifecycle,
    PauseMode,
    SandboxRecord,
    SandboxState,
    VolumeMount,
)
from nexus.local.secrets import SealError, Vault

FORMAT = 1
_log = logging.getLogger(__name__)


class SandboxRecords:
    """The folder of records. ``vault`` seals what of them is confidential."""

    def __init__(self, folder: Path, vault: Vault) -> None:
        self._folder = folder
        self._vault = vault
        self._documents = DocumentWriter()

    def open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        clear_leftovers(self._folder)

    def load(self) -> list[SandboxRecord]:
        """Every readable record. A damaged one is reported in the log and left where it is."""
        found = []
        for path in sorted(self._folder.glob("*.json")):
            try:
                document = read_document(path)
                if document is not None:
                    found.append(_decode(document, self._vault))
            except (ValueError, KeyError, TypeError, SealError) as error:
                _log.error("sandbox record %s cannot be read: %s", path, error)
        return found

    async def write(self, record: SandboxRecord) -> None:
        """Returns when ``record``, or one that was given later, is on disk; never brings a removed one back."""
        await self._documents.write(self._path(record.id), _encode(record, self._vault))

    async def remove(self, sandbox_id: str) -> None:
        await self._documents.remove(self._path(sandbox_id))

    def _path(self, sandbox_id: str) -> Path:
        return self._folder / f"{sandbox_id}.json"


def _encode(record: SandboxRecord, vault: Vault) -> dict[str, object]:
    bootable, lifecycle = record.bootable, record.lifecycle
    return {
        "format": FORMAT,
        "id": record.id,
        "state": record.state.value,
        "template": {
            "template_id": bootable.template_id,
            "build_id": bootable.build_id,
            "alias": bootable.alias,
            "layers": list(bootable.layers),
            "cpu_count": bootable.cpu_count,
            "memory_mb": bootable.memory_mb,
            "default_user": bootable.default_user,
            "workdir": bootable.workdir,
            "start_cmd": bootable.start_cmd,
            "ready_cmd": bootable.ready_cmd,
            "template_env": dict(bootable.template_env),
        },
        "started_at": record.started_at.isoformat(),
        "end_at": record.end_at.isoformat(),
        "timeout": record.timeout,
        "metadata": dict(record.metadata),
        "network": network_settings.encode(record.network, vault, record.id),
        "identity": {name: token.audience for name, token in record.identity.items()},
        "lifecycle": {
            "auto_pause": lifecycle.auto_pause,
            "auto_pause_mode": lifecycle.auto_pause_mode.value,
            "auto_resume": lifecycle.auto_resume,
        },
        "volume_mounts": [{"name": mount.name, "path": mount.path} for mount in record.volume_mounts],
        "layers": list(record.layers),
        "pause_mode": record.pause_mode.value if record.pause_mode else None,
        "has_env_vars": record.has_env_vars,
    }


def _decode(document: Mapping[str, object], vault: Vault) -> SandboxRecord:
    if document["format"] != FORMAT:
        raise ValueError(f"format {document['format']} is not known")
    template, network, lifecycle = (_mapping(document[key]) for key in ("template", "network", "lifecycle"))
    return SandboxRecord(
        id=str(document["id"]),
        state=SandboxState(str(document["state"])),
        bootable=Bootable(
            template_id=str(template["template_id"]),
            build_id=str(template["build_id"]),
            alias=_text(template["alias"]),
            layers=_texts(template["layers"]) or (),
            cpu_count=_number(template["cpu_count"]),
            memory_mb=_number(template["memory_mb"]),
            default_user=str(template["default_user"]),
            workdir=_text(template["workdir"]),
            start_cmd=_text(template["start_cmd"]),
            ready_cmd=_text(template["ready_cmd"]),
            template_env={str(key): str(value) for key, value in _mapping(template["template_env"]).items()},
        ),
        started_at=datetime.fromisoformat(str(document["started_at"])),
        end_at=datetime.fromisoformat(str(document["end_at"])),
        timeout=_number(document["timeout"]),
        metadata={str(key): str(value) for key, value in _mapping(document["metadata"]).items()},
        network=network_settings.decode(network, vault, str(document["id"])),
        identity={
            str(name): IdentityToken(audience=str(audience))
            for name, audience in _mapping(document.get("identity", {})).items()
        },
        lifecycle=Lifecycle(
            auto_pause=bool(lifecycle["auto_pause"]),
            auto_pause_mode=PauseMode(str(lifecycle["auto_pause_mode"])),
            auto_resume=bool(lifecycle["auto_resume"]),
        ),
        volume_mounts=_mounts(document["volume_mounts"]),
        layers=_texts(document["layers"]) or (),
        pause_mode=None if document["pause_mode"] is None else PauseMode(str(document["pause_mode"])),
        has_env_vars=bool(document["has_env_vars"]),
    )


def _mounts(value: object) -> tuple[VolumeMount, ...]:
    if not isinstance(value, list):
        raise TypeError("volume_mounts is not a list")
    return tuple(VolumeMount(str(_mapping(item)["name"]), str(_mapping(item)["path"])) for item in value)


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("expected an object")
    return value


def _number(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError("expected a whole number")
    return value


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _texts(value: object) -> tuple[str, ...] | None:
    if value is None:
        return None
    if not isinstance(value, list):
        raise TypeError("expected a list")
    return tuple(str(item) for item in value)
