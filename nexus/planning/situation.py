"""What is out there of one record: state and observation put together."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from nexus.kinds.base import Unit
from nexus.kinds.field_paths import covers
from nexus.model.diagnostics import Diagnostic, error
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.resources import FieldPath
from nexus.model.state import LOST, ResourceRecord
from nexus.model.values import Value

SETUP_FACT: Final = "setup"
"""The fact that says, unit by unit, what the inside of a sandbox tells about its setup; only after a deep look."""

CLOCKS_DIFFER_BY: Final = 30.0
"""Seconds by which an end may seem to be another one because this machine's clock is."""

FINDINGS_FACT: Final = "findings"
"""The fact that says, in sentences, what was found instead."""

MADE_FROM_FACT: Final = "made_from"
"""The fact that names the template, or the snapshot, that a sandbox was made from, as E2B knows it."""

SIZE_FACT: Final = "size"
"""The fact that says how many CPUs and how many MiB of memory a sandbox was given: ``[cpus, memory]``."""

REMAINS_FACT: Final = "remains"
"""The fact that says of what is gone that something is left of it all the same, which only a delete removes."""

_WITHOUT_OBJECT: Final = ("step",)
"""Kinds of which nothing lives out there: their record is all there is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """``record`` tells what holds now, facts that were seen included; ``drifted`` are fields that are not as applied.

    ``lost`` are units of setup that are not as they were done, ``findings`` what was seen of each. ``missing`` says, in
    words, why an object that the state knows is not there any more; ``remains``, that a delete still has work to do.
    """

    record: ResourceRecord
    presence: Presence
    missing: str = ""
    remains: bool = False
    drifted: frozenset[str] = frozenset()
    lost: frozenset[str] = frozenset()
    findings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
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
        case Presence.GONE if observed.facts.get(REMAINS_FACT):
            missing = "its tag is gone: removed outside nexus"
            return Situation(record=record, presence=observed.presence, missing=missing, remains=True)
        case Presence.GONE:
            missing = "gone: killed or removed outside nexus"
            return Situation(record=record, presence=observed.presence, missing=missing)
        case presence:
            fields, lost = _seen_fields(record, observed.facts), _lost_units(record, observed.facts)
            if observation.deep and (shortened := _shortened(record, observed)) is not None:
                fields["timeout"] = shortened
            seen = record
            if fields or lost:
                setup = {**record.setup, **dict.fromkeys(lost, LOST)}
                seen = replace(record, attributes={**record.attributes, **fields}, setup=setup)
            return Situation(
                record=seen,
                presence=presence,
                drifted=frozenset(fields),
                lost=lost,
                findings=_findings(observed.facts),
                expires_at=expires_at,
            )


def _seen_fields(record: ResourceRecord, facts: Mapping[str, object]) -> dict[str, Value]:
    """Fields that were seen to be other than they were applied."""
    return {
        name: value  # type: ignore[misc]  # facts are normalised like attributes
        for name, value in facts.items()
        if name in record.attributes and record.attributes[name] != value
    }


def _shortened(record: ResourceRecord, observed: Observed) -> int | None:
    """The time to live that somebody gave a running sandbox instead of its own, where it ends earlier by that.

    Longer ones are no drift: whoever connects to a sandbox prolongs its life.
    """
    timeout = record.attributes.get("timeout")
    if observed.presence is not Presence.RUNNING or not isinstance(timeout, int) or record.expires_at is None:
        return None
    try:
        end = datetime.fromisoformat(observed.expires_at or record.expires_at)
        lacking = (datetime.fromisoformat(record.expires_at) - end).total_seconds()
    except ValueError:
        return None
    return max(timeout - round(lacking), 0) if lacking > CLOCKS_DIFFER_BY else None


def _lost_units(record: ResourceRecord, facts: Mapping[str, object]) -> frozenset[str]:
    done = facts.get(SETUP_FACT)
    if not isinstance(done, Mapping):
        return frozenset()
    return frozenset(unit for unit in record.setup if unit not in done and record.setup[unit] != LOST)


def _findings(facts: Mapping[str, object]) -> Mapping[str, tuple[str, ...]]:
    told = facts.get(FINDINGS_FACT)
    if not isinstance(told, Mapping):
        return {}
    return {str(unit): tuple(map(str, sentences)) for unit, sentences in told.items()}


def believed(situation: Situation, ignored: Collection[FieldPath], units: Iterable[Unit]) -> Situation:
    """The situation without what was lost inside, where changes of it are to be left alone."""
    field_of = {unit.name: unit.field for unit in units}
    kept = {
        name
        for name in situation.lost
        if covers(ignored, (field_of.get(name, name.partition("[")[0]),)) or covers(ignored, ("packages", name))
    }
    if not kept:
        return situation
    # Any text but LOST does: the wanted digest, where there is one, says that nothing is to be done.
    wanted = {unit.name: unit.digest for unit in units if unit.digest is not None}
    setup = {
        name: wanted.get(name, digest) if name in kept else digest for name, digest in situation.record.setup.items()
    }
    return replace(situation, record=replace(situation.record, setup=setup), lost=situation.lost - kept)


def presence_unknown(situation: Situation) -> Diagnostic:
    """Never an occasion to make something anew: a wrong key must not plan to recreate everything."""
    return error(
        "presence-unknown",
        "It can't be told whether a resource still exists",
        detail=f"{situation.record.address} ({situation.record.id}) could not be looked at; nothing is planned on it.",
        hint="check the connection and the API key; --no-refresh believes the state",
        address=str(situation.record.address),
    )
