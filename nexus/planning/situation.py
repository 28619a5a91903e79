"""What is out there of one record: state and observation put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from nexus.model.diagnostics import Diagnostic, error
from nexus.model.observation import Observation, Presence
from nexus.model.state import ResourceRecord
from nexus.model.values import Value

SETUP_FACT: Final = "setup"
"""The fact that says, unit by unit, what the inside of a sandbox tells about its setup; only after a deep look."""

_WITHOUT_OBJECT: Final = ("step",)
"""Kinds of which nothing lives out there: their record is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``record`` tells what holds now, facts that were seen included; ``drifted`` are fields that are not as applied.

    ``missing`` says, in words, why an object that the state knows is not there any more.
    """

    record: ResourceRecord
    presence: Presence
    missing: str = ""
    drifted: frozenset[str] = frozenset()
    expires_at: str | None = None

    @property
    def exists(self) -> bool:
        return not self.missing

    @property
    def is_paused(self) -> bool:
        return self.presence is Presence.PAUSED

    def seconds_left(self, now: datetime) -> float | None:
        """Until the end of its time; None when that is not known."""
        try:
            end = None if self.expires_at is None else datetime.fromisoformat(self.expires_at)
        except ValueError:
            return None
        return None if end is None else (end - now).total_seconds()


def situation_of(record: ResourceRecord, observation: Observation) -> Situation:
    """Where nobody looked, the state is believed."""
    observed = observation.records.get(record.uid)
    if observed is None:
        believed = not observation.complete or record.address.kind in _WITHOUT_OBJECT
        presence = Presence.READY if believed else Presence.UNKNOWN
        return Situation(record=record, presence=presence, expires_at=record.expires_at)
    expires_at = observed.expires_at or record.expires_at
    match observed.presence:
        case Presence.EXPIRED:
            missing = f"expired at {expires_at}" if expires_at else "expired"
            return Situation(record=record, presence=observed.presence, missing=missing)
        case Presence.GONE:
            missing = "gone: killed or removed outside nexus"
            return Situation(record=record, presence=observed.presence, missing=missing)
        case presence:
            seen, drifted = _with_facts(record, observed.facts)
            return Situation(record=seen, presence=presence, drifted=drifted, expires_at=expires_at)


def _with_facts(record: ResourceRecord, facts: Mapping[str, object]) -> tuple[ResourceRecord, frozenset[str]]:
    if not facts:
        return record, frozenset()
    fields: dict[str, Value] = {
        name: value  # type: ignore[misc]  # facts are normalised like attributes
        for name, value in facts.items()
        if name in record.attributes and record.attributes[name] != value
    }
    setup = facts.get(SETUP_FACT)
    done = {str(unit): str(digest) for unit, digest in setup.items()} if isinstance(setup, Mapping) else record.setup
    if not fields and done == record.setup:
        return record, frozenset()
    return replace(record, attributes={**record.attributes, **fields}, setup=done), frozenset(fields)


def presence_unknown(situation: Situation) -> Diagnostic:
    """Never an occasion to make something anew: a wrong key must not plan to recreate everything."""
    return error(
        "presence-unknown",
        "It can't be told whether a resource still exists",
        detail=f"{situation.record.address} ({situation.record.id}) could not be looked at; nothing is planned on it.",
        hint="check the connection and the API key; --no-refresh believes the state",
        address=str(situation.record.address),
    )
