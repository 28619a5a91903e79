"""Drift: where what is out there is not what was applied. Pure, and apart from what the manifest wants by now."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Final, assert_never

from nexus.graph import DesiredGraph, Kinds
from nexus.kinds.field_paths import covers, parse_path
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Effect, FieldDiff, Operation, Verb
from nexus.model.diagnostics import Diagnostic
from nexus.model.observation import Observation, Presence
from nexus.model.state import ResourceRecord, State
from nexus.planning.diff import field_diffs
from nexus.planning.pools import without_taken
from nexus.planning.situation import Situation, situation_of

AS_APPLIED: Final = "as applied"


class DriftCause(StrEnum):
    """How it came about, as far as that can be told."""

    EXPIRED = "expired"  # its time ran out
    GONE = "gone"  # killed, deleted or lost before its time: E2B does not tell which
    PAUSED = "paused"  # by somebody, before its time
    CHANGED = "changed"  # from outside, by E2B's API
    EDITED = "edited"  # inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that differs, or some of one sort. ``ignored``: the manifest says that it is to be left alone.

    ``fields`` hold what was applied and what was found; for units of setup what was found is a sentence.
    """

    address: Address
    id: str
    uid: str
    cause: DriftCause
    detail: str
    fields: tuple[FieldDiff, ...] = ()
    ignored: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """A sandbox that uses more of something than its ``alerts`` allow; both numbers are percentages."""

    address: Address
    id: str
    measured: str
    percent: float
    threshold: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """``looked_at`` counts the objects of the state. ``drifts`` hold what is to be left alone, too, marked as such."""

    looked_at: int
    drifts: tuple[Drift, ...] = ()
    alerts: tuple[Alert, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def has_drift(self) -> bool:
        """Whether something differs that the manifest does not tell to leave alone."""
        return any(not drift.ignored for drift in self.drifts)


def drift_of(
    state: State, observation: Observation, *, graph: DesiredGraph, kinds: Kinds, now: datetime
) -> tuple[Drift, ...]:
    """All drift of what the state knows, by address: the order of the state is that in which an apply was done.

    What was taken from a pool can't drift: it is not the project's any more.
    """
    found = _Finding(state, observation, graph, kinds, now)
    known = without_taken(state).resources
    records = sorted(known.values(), key=lambda record: (record.address.group, record.address.key or ""))
    return tuple(drift for record in records for drift in found.of(record))


@dataclass(frozen=True, slots=True)
class _Finding:
    state: State
    observation: Observation
    graph: DesiredGraph
    kinds: Kinds
    now: datetime

    def of(self, record: ResourceRecord) -> Iterator[Drift]:
        situation = situation_of(record, self.observation)
        match situation.presence:
            case Presence.EXPIRED:
                yield self._drift(record, DriftCause.EXPIRED, situation.missing)
            case Presence.GONE:
                cause = DriftCause.CHANGED if situation.remains else DriftCause.GONE
                yield self._drift(record, cause, situation.missing)
            case Presence.PAUSED if not _by_itself(record, self.now):
                yield self._drift(record, DriftCause.PAUSED, "paused by somebody before its time was up")
                yield from self._differences(record, situation)
            case Presence.RUNNING | Presence.READY | Presence.PAUSED | Presence.UNKNOWN:
                yield from self._differences(record, situation)
            case _:
                assert_never(situation.presence)

    def _differences(self, record: ResourceRecord, situation: Situation) -> Iterator[Drift]:
        outside = tuple(self._outside(record, situation))
        yield from self._split(record, DriftCause.CHANGED, outside)
        yield from self._split(record, DriftCause.EDITED, lost_fields(situation))

    def _outside(self, record: ResourceRecord, situation: Situation) -> Iterator[FieldDiff]:
        if situation.drifted:
            kind = self.kinds[record.address.kind]
            yield from field_diffs(kind, record.attributes, situation.record.attributes, self.state.trees)

    def _split(self, record: ResourceRecord, cause: DriftCause, fields: tuple[FieldDiff, ...]) -> Iterator[Drift]:
        """What is to be left alone apart from the rest."""
        spec = self.graph.resources.get(record.address)
        ignore = () if spec is None else spec.lifecycle.ignore_changes
        left = tuple(item for item in fields if covers(ignore, _path_of(item)))
        for ignored, some in ((False, tuple(item for item in fields if item not in left)), (True, left)):
            if some:
                detail = "; ".join(_said(item) for item in some)
                yield replace(self._drift(record, cause, detail), fields=some, ignored=ignored)

    @staticmethod
    def _drift(record: ResourceRecord, cause: DriftCause, detail: str) -> Drift:
        return Drift(address=record.address, id=record.id, uid=record.uid, cause=cause, detail=detail)


def lost_fields(situation: Situation) -> tuple[FieldDiff, ...]:
    """What is not as it was set up, unit by unit."""
    return tuple(
        FieldDiff(
            path=unit,
            before=AS_APPLIED,
            after="; ".join(situation.findings.get(unit, ())) or "changed",
            effect=Effect.SETUP,
        )
        for unit in situation.record.setup
        if unit in situation.lost
    )


def refreshed(state: State, observation: Observation, only: Collection[Address]) -> State:
    """The state with what was seen of ``only`` these: fields and times as they are, and without what is gone."""
    resources: dict[Address, ResourceRecord] = {}
    for address, record in state.resources.items():
        seen = _seen(record, observation) if address in only else record
        if seen is not None:
            resources[address] = seen
    return replace(state, resources=resources)


def taken_in(drifts: tuple[Drift, ...]) -> tuple[tuple[Change, ...], tuple[Operation, ...]]:
    """A plan that takes drift into the state and changes nothing out there."""
    by_address: dict[Address, list[Drift]] = {}
    for drift in drifts:
        by_address.setdefault(drift.address, []).append(drift)
    changes: list[Change] = []
    operations: list[Operation] = []
    for number, (address, some) in enumerate(by_address.items(), start=1):
        gone = some[0].cause in (DriftCause.EXPIRED, DriftCause.GONE)
        fields = tuple(item for drift in some for item in drift.fields)
        if not gone and not fields:
            continue  # paused, or without its tag: the state does not know of that
        cause = "; ".join(drift.detail for drift in some)
        action, verb = (Action.FORGET, Verb.FORGET) if gone else (Action.REFRESH, Verb.REFRESH)
        changes.append(Change(address=address, action=action, cause=cause, fields=fields))
        operations.append(Operation(id=f"op-{number:04d}", verb=verb, address=address, cause=cause, uid=some[0].uid))
    return tuple(changes), tuple(operations)


def _seen(record: ResourceRecord, observation: Observation) -> ResourceRecord | None:
    situation = situation_of(record, observation)
    if situation.remains:
        return record
    return None if situation.missing else replace(situation.record, expires_at=situation.expires_at)


def _by_itself(record: ResourceRecord, now: datetime) -> bool:
    """Whether its own time was up, and it pauses then."""
    if record.attributes.get("on_timeout") != "pause" or record.expires_at is None:
        return False
    try:
        return datetime.fromisoformat(record.expires_at) <= now
    except ValueError:
        return False


_FIELD_OF_UNIT: Final[Mapping[str, tuple[str, ...]]] = {
    "env": ("env_vars",),
    "start": ("start_command",),
    "pip": ("packages", "pip"),
    "npm": ("packages", "npm"),
    "apt": ("packages", "apt"),
}


def _path_of(item: FieldDiff) -> tuple[str, ...]:
    return _FIELD_OF_UNIT.get(item.path) or parse_path(item.path)


def _said(item: FieldDiff) -> str:
    return str(item.after) if item.before == AS_APPLIED else item.path
