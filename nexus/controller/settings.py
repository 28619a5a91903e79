"""What a controller is to keep as it is written: projects, their environments, how often, and who is told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal

from nexus.model.values import Value

Target = Literal["local", "e2b"]

DEFAULT_INTERVAL: Final = 60.0
DEFAULT_PORT: Final = 8460
DEFAULT_CONCURRENCY: Final = 10


class Policy(StrEnum):
    """What becomes of a plan that would change something."""

    AUTO = "auto"  # it is applied
    APPROVE = "approve"  # it waits until somebody approves it
    PLAN_ONLY = "plan-only"  # it is told, and nothing else


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """One environment of one project, under the controller's name for the project."""

    project: str
    environment: str

    def __str__(self) -> str:
        return f"{self.project}/{self.environment}"


@dataclass(frozen=True, slots=True, kw_only=True)
class GitPlace:
    """A project in a Git repository: at a ``branch`` or a ``tag``, in the folder ``path`` of it.

    ``verify`` takes only commits, or tags, that bear a good signature; ``allowed_signers`` is the file that says whose
    SSH keys are good, as for Git itself.
    """

    url: str
    branch: str = ""
    tag: str = ""
    path: str = ""
    verify: bool = False
    allowed_signers: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSettings:
    """One environment. ``interval`` is in seconds. ``target`` None leaves it to the manifest and what is around.

    ``deep`` looks into sandboxes at each observation.
    """

    key: Key
    policy: Policy = Policy.AUTO
    interval: float = DEFAULT_INTERVAL
    variables: Mapping[str, Value] = field(default_factory=dict)
    target: Target | None = None
    deep: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSettings:
    """One project: a folder on this machine, or a place in a Git repository, and its environments."""

    name: str
    place: Path | GitPlace
    environments: tuple[EnvironmentSettings, ...]

    @property
    def interval(self) -> float:
        """How often the repository is asked for new commits: as often as the most eager environment wants."""
        return min((item.interval for item in self.environments), default=DEFAULT_INTERVAL)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Where to post what happens, signed with ``secret``. ``kinds`` empty is all of it."""

    url: str
    secret: str = ""
    kinds: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        return f"WebhookSettings(kinds={sorted(self.kinds)})"  # both others are secrets as a rule


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """All of it. ``host`` "" serves no page; ``concurrency`` bounds how many environments are worked on at once."""

    projects: tuple[ProjectSettings, ...]
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    concurrency: int = DEFAULT_CONCURRENCY
    webhooks: tuple[WebhookSettings, ...] = ()

    @property
    def environments(self) -> Iterator[EnvironmentSettings]:
        return (environment for project in self.projects for environment in project.environments)
