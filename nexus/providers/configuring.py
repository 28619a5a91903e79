"""What can be changed about a live sandbox beside the plan: variables, packages, its network, its process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nexus.kinds.network import NetworkSpec
from nexus.kinds.packages import PackageSet
from nexus.kinds.readiness import ReadySpec
from nexus.model.values import Value


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Configuration:
    """Changes to a live sandbox, made in the order of the fields. Never printed: ``env_vars`` may hold secrets.

    ``closing`` sets the network at last instead, so that what is installed can still be fetched.
    ``env_vars`` are texts, secret ones Sensitive; they go to ``user``. ``uninstall`` names packages without versions.
    ``restart`` starts again what was started last, or ``start_command`` where the sandbox does not know it any more,
    and waits for ``ready``.
    """

    user: str = "user"
    network: NetworkSpec | None = None
    closing: bool = False
    env_vars: Mapping[str, Value] = field(default_factory=dict)
    unset: Sequence[str] = ()
    install: PackageSet = field(default_factory=PackageSet)
    uninstall: PackageSet = field(default_factory=PackageSet)
    run_commands: Sequence[str] = ()
    restart: bool = False
    start_command: str | None = None
    ready: ReadySpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """``restarted``: a process was stopped and started. ``has_process``: one runs that nexus started.

    ``env_names`` are the variables that the commands of the user see.
    """

    restarted: bool
    has_process: bool
    env_names: frozenset[str]
