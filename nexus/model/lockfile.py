"""The lock file: what requirements came to when they were resolved, so that everybody gets exactly that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from nexus.model.values import Value

LOCK_VERSION: Final = 1

Requirements = Mapping[str, tuple[str, ...]]
"""What a block asks for, by manager (apt, pip, npm), sorted; managers that it asks nothing of are left out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """Everything that one manager has to have in one version for some requirements.

    ``added`` are versions by name of what an install brings, ``base`` of what the template has already and the
    requirements rely on: it is brought to its version where it differs, and never removed. A version that begins with
    ``@`` is a URL. ``files`` is npm's own: for each global package what is installed by path; empty for others.
    """

    added: Mapping[str, str] = field(default_factory=dict)
    base: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedSet:
    """One set of requirements on one base, resolved. ``environments`` are those whose manifest asks for it."""

    base: str
    requirements: Requirements
    closures: Mapping[str, Closure]
    environments: tuple[str, ...] = ()

    def answers(self, base: str, requirements: Requirements) -> bool:
        """Whether this is what was resolved for exactly these requirements."""
        return self.base == base and self.requirements == requirements


@dataclass(frozen=True, slots=True, kw_only=True)
class LockedEnvironment:
    """What belongs to one environment alone.

    ``uploads`` are digests by path, by the address of the instance. ``builds`` are ids of builds of templates that
    nexus does not build itself, by the name that the manifest has for them; known for E2B only.
    """

    uploads: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    builds: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Lockfile:
    """``packages`` are sets by the address of the block; several where its instances or environments differ.

    ``is_partial`` while it is being made: what it does not have is then installed as it comes.
    """

    packages: Mapping[str, tuple[LockedSet, ...]] = field(default_factory=dict)
    environments: Mapping[str, LockedEnvironment] = field(default_factory=dict)
    is_partial: bool = False

    def find(self, block: str, base: str, requirements: Requirements) -> LockedSet | None:
        """What ``block`` is to install on ``base``; None where that has not been resolved."""
        return next((item for item in self.packages.get(block, ()) if item.answers(base, requirements)), None)

    def refusal(self, block: str, base: str, requirements: Requirements) -> str:  # noqa: ARG002 - see Pinning
        """Why there is nothing to install for ``block``, as a sentence; "" where it may be installed as it comes."""
        asked = self.packages.get(block, ())
        if self.is_partial:
            return ""
        if not asked:
            return f"{block} is not in it."
        if base and all(item.base != base for item in asked):
            return f"It was made for {block} on {asked[0].base}, not on {base}."
        return f"The packages of {block} are not those that it was made for."

    def of(self, environment: str) -> LockedEnvironment:
        return self.environments.get(environment, LockedEnvironment())

    def with_sets(self, environment: str, wanted: Mapping[str, Iterable[LockedSet]]) -> Lockfile:
        """The same with exactly the sets of ``wanted`` for this environment; those of others stay as they are."""
        packages: dict[str, list[LockedSet]] = {}
        for block, sets in self.packages.items():
            others = [_without(item, environment) for item in sets]
            packages[block] = [item for item in others if item.environments]
        for block, asked in wanted.items():
            packages[block] = _merged(packages.get(block, []), asked, environment)
        return replace(self, packages={block: tuple(sets) for block, sets in packages.items() if sets})


class Pinning(Protocol):
    """What blocks ask for versions while they are read: a lock file, or who wants to know what is asked."""

    def find(self, block: str, base: str, requirements: Requirements) -> LockedSet | None:
        """See :meth:`Lockfile.find`. ``base`` is "" where it is not known yet."""

    def refusal(self, block: str, base: str, requirements: Requirements) -> str:
        """See :meth:`Lockfile.refusal`."""


def _without(item: LockedSet, environment: str) -> LockedSet:
    return replace(item, environments=tuple(name for name in item.environments if name != environment))


def _merged(others: list[LockedSet], asked: Iterable[LockedSet], environment: str) -> list[LockedSet]:
    """What is resolved anew holds for every environment that asks for the same: all go on with the same versions."""
    found = list(others)
    for item in asked:
        same = next((other for other in found if other.answers(item.base, item.requirements)), None)
        environments = {environment, *(() if same is None else same.environments)}
        if same is not None:
            found.remove(same)
        found.append(replace(item, environments=tuple(sorted(environments))))
    return found
