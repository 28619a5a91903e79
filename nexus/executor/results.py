"""What goes into an apply besides the plan, and what comes out of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from nexus.kinds.base import Unit
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, SourceRange
from nexus.model.events import Outcome
from nexus.model.resources import OnDestroy, Stage
from nexus.model.state import ResourceRecord, State, Tree
from nexus.model.values import Attributes

Lookup = Callable[[Address], ResourceRecord | None]
"""The current record of an address, as far as the apply has come; None where there is none (yet)."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Resolved:
    """A resource with everything known.

    ``attributes`` are normalised and concealed, ``spec`` is what the revealed ones decode to. ``trees`` are the upload
    trees that the attributes name, ``places`` where its fields are written. Never printed: ``spec`` may hold secrets.
    """

    attributes: Attributes
    spec: object
    units: tuple[Unit, ...] = ()
    trees: Mapping[str, Tree] = field(default_factory=dict)
    places: Mapping[str, SourceRange] = field(default_factory=dict)
    depends_on: tuple[Address, ...] = ()
    protected: bool = False
    on_destroy: OnDestroy = OnDestroy.KILL


class Resolve(Protocol):
    """Evaluates a desired resource with the outputs that are known by now."""

    def __call__(self, address: Address, lookup: Lookup, /) -> Resolved:
        """MUST be cheap when asked again for the same address. Raises DiagnosticsError when the resource can't be
        evaluated, or when something that the plan knew has another value now: what was approved may be refined, never
        altered.
        """


class Check(Protocol):
    """Looks at the conditions of a desired resource with what exists by now."""

    def __call__(self, address: Address, stage: Stage, lookup: Lookup, /) -> tuple[Diagnostic, ...]:
        """What does not hold, or can't be told; nothing when all is well."""


def no_conditions(address: Address, stage: Stage, lookup: Lookup, /) -> tuple[Diagnostic, ...]:  # noqa: ARG001
    """For plans without any."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyResult:
    """How an apply ended. ``state`` is to be committed in any case; its serial is still the old one.

    ``outcomes`` are by operation id. ``diagnostics`` hold the reasons of all failures and what is wrong with the state.
    ``bugs`` are exceptions that nobody expected, for the log. ``lock_lost``: another run may be at work, so the state
    must not be written; what was done is in the journal. ``took`` tells the seconds of each operation that succeeded.
    """

    state: State
    outcomes: Mapping[str, Outcome] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
    interrupted: bool = False
    seconds: float = 0.0
    bugs: tuple[Exception, ...] = ()
    lock_lost: bool = False
    took: Mapping[str, float] = field(default_factory=dict)

    @property
    def succeeded(self) -> bool:
        """Whether everything was done."""
        good = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
        return (
            not self.interrupted and not self.lock_lost and all(outcome in good for outcome in self.outcomes.values())
        )
