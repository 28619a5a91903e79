"""What the composition root hands to a workflow: the outside, behind protocols."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nexus.executor import Clock
from nexus.model.environments import Environment
from nexus.model.values import Value
from nexus.providers.base import Provider
from nexus.stores import Backend, LockInfo, memory_backend


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """What is needed to change what is remembered, and nothing that could change anything else."""

    backend: Backend
    holder: Callable[[str], LockInfo]


def nothing_remembered(_: Environment) -> Backend:
    """The stores of an environment that is nowhere."""
    return memory_backend()


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One run against one target. ``because`` says in words why that target was chosen.

    ``backend_of`` opens the stores of another environment of the project, to be read.

    ``keep_secret`` is told every secret value, so that the provider takes them out of whatever comes back.
    """

    provider: Provider
    backend: Backend
    clock: Clock
    ids: Callable[[], str]
    holder: Callable[[str], LockInfo]
    keep_secret: Callable[[Iterable[Value]], None]
    because: str = ""
    backend_of: Callable[[Environment], Backend] = nothing_remembered
