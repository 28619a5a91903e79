"""The desired graph: every instance that the manifest asks for, and who needs whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from nexus.expressions import Places, Scope
from nexus.graph.dag import Dag
from nexus.kinds.base import Kind, SourceFiles
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.model.expressions import Raw
from nexus.model.resources import Each, Pool, ResourceSpec
from nexus.model.values import Value

Kinds = Mapping[str, Kind[object]]
"""All kinds by their word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the graph is built from: the merged plain value of the manifest, its places, and what is known by now.

    ``secrets`` are names only: nothing about the shape of the graph may depend on a secret.
    """

    values: Mapping[str, object]
    places: Places
    kinds: Kinds
    files: SourceFiles
    variables: Mapping[str, Value] = field(default_factory=dict)
    secrets: Collection[str] = ()
    environment: Mapping[str, str] = field(default_factory=dict)

    def static_scope(self, each: Each | None = None) -> Scope:
        """What expressions may use that must be known before apply."""
        return Scope(
            variables=self.variables,
            environment=self.environment,
            files=self.files,
            each=each,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One entry of the manifest's ``outputs``."""

    name: str
    value: Raw
    description: str = ""
    source: SourceRange | None = None


@dataclass(frozen=True, slots=True)
class Import:
    """A live object that nexus did not make, to be taken over as ``address``."""

    address: Address
    id: str
    source: SourceRange | None = None


@dataclass(frozen=True, slots=True)
class Removed:
    """A block that is gone on purpose; without ``destroy`` what it made is forgotten and left alone."""

    address: Address
    destroy: bool = True
    source: SourceRange | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredGraph:
    """``resources`` in the order of the manifest; ``dag`` says who needs whom.

    ``instances`` maps every block that has instances (even none) to their addresses by key. ``pools`` are those blocks
    whose instances stand ready to be taken.
    """

    resources: Mapping[Address, ResourceSpec] = field(default_factory=dict)
    instances: Mapping[Address, Mapping[str, Address]] = field(default_factory=dict)
    pools: Mapping[Address, Pool] = field(default_factory=dict)
    outputs: Mapping[str, OutputSpec] = field(default_factory=dict)
    dag: Dag[Address] = field(default_factory=lambda: Dag({}))
    imports: Mapping[Address, Import] = field(default_factory=dict)
    removed: tuple[Removed, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def has_errors(self) -> bool:
        return any(item.severity is Severity.ERROR for item in self.diagnostics)

    def describe(self) -> str:
        """Deterministic text for tests: one line per resource with what it needs."""
        return "\n".join(
            f"{address} <- {', '.join(map(str, spec.depends_on)) or '-'}" for address, spec in self.resources.items()
        )
