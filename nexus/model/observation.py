"""What was seen out there, once, before planning: one frozen picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic


class Presence(StrEnum):
    """How an object was found. Templates, volumes and steps that exist are READY."""

    READY = "ready"
    RUNNING = "running"
    PAUSED = "paused"
    EXPIRED = "expired"
    GONE = "gone"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """One live object. ``expires_at`` is RFC 3339 UTC. ``facts`` are readable fields, normalised like attributes."""

    id: str
    presence: Presence
    expires_at: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """``records`` by uid of the record; ``catalogue`` by address, for catalogue templates that exist already.

    ``complete`` is False for ``--no-refresh``: then state is believed. ``deep`` says that sandboxes were looked into.
    ``imports`` are live objects that are to be taken over, by the addresses that they are to have. ``running`` counts
    the running sandboxes of the whole account, those of others too; None where nobody asked.
    """

    records: Mapping[str, Observed] = field(default_factory=dict)
    catalogue: Mapping[Address, Observed] = field(default_factory=dict)
    complete: bool = True
    deep: bool = False
    running: int | None = None
    imports: Mapping[Address, Observed] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()
