"""The words of this room: what is asked for, what a template gives, what is kept of a sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from nexus.local.relay.identity import IdentityToken
from nexus.local.sandboxes.network_settings import ALL_TRAFFIC, NetworkSettings


class SandboxState(StrEnum):
    """``creating`` never leaves the engine: such a sandbox is not listed and not found."""

    CREATING = "creating"
    RUNNING = "running"
    PAUSED = "paused"


class PauseMode(StrEnum):
    """What a pause keeps: everything, or only what is on disk."""

    FULL = "full"
    FILESYSTEM = "filesystem"


@dataclass(frozen=True, slots=True)
class VolumeMount:
    name: str
    path: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """What happens at the end of the time to live, and whether traffic wakes a paused sandbox."""

    auto_pause: bool = False
    auto_pause_mode: PauseMode = PauseMode.FULL
    auto_resume: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """A checked request to create a sandbox. ``timeout`` is in seconds."""

    template: str
    timeout: int
    metadata: Mapping[str, str] = field(default_factory=dict)
    env_vars: Mapping[str, str] = field(default_factory=dict, repr=False)
    network: NetworkSettings = field(default_factory=NetworkSettings)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    volume_mounts: tuple[VolumeMount, ...] = ()
    identity: Mapping[str, IdentityToken] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootable:
    """A template resolved to what a machine is started from.

    ``template_env`` reaches the start and ready commands only, as on E2B.
    """

    template_id: str
    build_id: str
    alias: str | None
    layers: tuple[str, ...]
    cpu_count: int
    memory_mb: int
    default_user: str = "user"
    workdir: str | None = None
    start_cmd: str | None = None
    ready_cmd: str | None = None
    template_env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRecord:
    """Everything that must outlive the daemon. It holds no environment values, tokens or keys.

    ``layers`` grows by one when a pause keeps only the disk. ``timeout`` is the one asked for at create, in seconds.
    ``end_at`` of a paused sandbox is the time it was paused.
    """

    id: str
    state: SandboxState
    bootable: Bootable
    started_at: datetime
    end_at: datetime
    timeout: int
    metadata: Mapping[str, str]
    network: NetworkSettings
    lifecycle: Lifecycle
    volume_mounts: tuple[VolumeMount, ...]
    layers: tuple[str, ...]
    pause_mode: PauseMode | None = None
    has_env_vars: bool = False
    identity: Mapping[str, IdentityToken] = field(default_factory=dict)


class TemplateSource(Protocol):
    """Where sandboxes get their templates from."""

    def resolve(self, reference: str) -> Bootable:
        """Raises NotFoundError in E2B's words."""

    def matches(self, reference: str, template_id: str) -> bool:
        """Whether ``reference`` (an id or alias, no tag) names the template ``template_id``."""

    def note_use(self, template_id: str, at: datetime) -> None:
        """Count one more sandbox made from the template."""


__all__ = [
    "ALL_TRAFFIC",
    "Bootable",
    "Lifecycle",
    "NetworkSettings",
    "PauseMode",
    "SandboxRecord",
    "SandboxRequest",
    "SandboxState",
    "TemplateSource",
    "VolumeMount",
]
