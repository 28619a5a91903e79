"""The words of this room: templates, their builds, and what a build is made from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class BuildStatus(StrEnum):
    WAITING = "waiting"
    BUILDING = "building"
    READY = "ready"
    ERROR = "error"

    @property
    def is_final(self) -> bool:
        return self in (BuildStatus.READY, BuildStatus.ERROR)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One instruction: RUN, COPY, ENV, WORKDIR or USER. ``files_hash`` names the archive of a COPY."""

    type: str
    args: tuple[str, ...] = ()
    force: bool = False
    files_hash: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildSpec:
    """What a build is asked to make. Exactly one source is set."""

    from_image: str | None = None
    from_template: str | None = None
    force: bool = False
    steps: tuple[Step, ...] = ()
    start_cmd: str | None = None
    ready_cmd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a step runs in, and in the end what sandboxes start with. ``workdir`` None is the user's home."""

    user: str = "user"
    workdir: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)

    @property
    def home(self) -> str:
        return "/root" if self.user == "root" else f"/home/{self.user}"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildResult:
    """What a finished build gives to sandboxes. ``checked`` identifies what the finalize phase has proved."""

    layers: tuple[str, ...]
    surroundings: Surroundings
    start_cmd: str | None
    ready_cmd: str | None
    checked: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureReason:
    """``step`` is ``base``, a step's number from 1, ``finalize``, or None for faults of the engine itself."""

    message: str
    step: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """``source_sandbox`` is the sandbox that a snapshot was taken of; None for what steps have made."""

    id: str
    template_id: str
    status: BuildStatus
    tags: tuple[str, ...]
    cpu_count: int
    memory_mb: int
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    result: BuildResult | None = None
    reason: FailureReason | None = None
    source_sandbox: str | None = None


@dataclass(frozen=True, slots=True)
class TagAssignment:
    build_id: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """``tags`` point at finished builds only. Snapshots are templates too; ``alias`` None is one without a name."""

    id: str
    alias: str | None
    public: bool
    created_at: datetime
    updated_at: datetime
    tags: Mapping[str, TagAssignment] = field(default_factory=dict)
    spawn_count: int = 0
    last_spawned_at: datetime | None = None
    is_snapshot: bool = False

    @property
    def aliases(self) -> tuple[str, ...]:
        return () if self.alias is None else (self.alias,)

    @property
    def name(self) -> str:
        """What people call it: the alias, or the id where there is none."""
        return self.alias or self.id
