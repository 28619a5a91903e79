"""Everything that a plan is made from. Nothing else is looked at: no clock, no files but those given, no network."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from nexus.graph import DesiredGraph, Kinds
from nexus.kinds.base import SourceFiles
from nexus.model.changes import PlanOptions
from nexus.model.lockfile import Pinning
from nexus.model.observation import Observation
from nexus.model.state import State, Target
from nexus.model.values import Fingerprint, Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Another environment of the project, whose builds of templates are taken over.

    ``name`` is what people call it, ``environment`` what its objects are called by. ``builds`` are those that are in
    the account, by reference: of what the origin calls a template, and of what the environment that is planned does.
    """

    name: str
    environment: str
    state: State
    builds: Collection[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanRequest:
    """``graph`` must be free of errors. ``secrets`` are Sensitive; one without a value plans as unknown.

    ``fingerprint`` is the state's own, see :func:`nexus.model.values.fingerprinter`. ``now`` has a time zone.
    ``process_environment`` is what ``env.*`` means in expressions. ``lock`` is the project's lock file, if it has one.
    ``longest_life`` bounds how long sandboxes live, in seconds. ``origins`` are the environments that templates are
    promoted from, by the names that the options, and the blocks, have for them.
    """

    graph: DesiredGraph
    kinds: Kinds
    state: State
    observation: Observation
    files: SourceFiles
    fingerprint: Callable[[Value], Fingerprint]
    now: datetime
    project: str
    environment: str
    target: Target
    variables: Mapping[str, Value] = field(default_factory=dict)
    secrets: Mapping[str, Value] = field(default_factory=dict)
    process_environment: Mapping[str, str] = field(default_factory=dict)
    options: PlanOptions = field(default_factory=PlanOptions)
    lock: Pinning | None = None
    longest_life: int | None = None
    origins: Mapping[str, Origin] = field(default_factory=dict)
