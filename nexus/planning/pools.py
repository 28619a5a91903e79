"""Warm pools: who is a member, what was taken from one, and when a member is too old. Pure.

A sandbox that was taken keeps its record, under an address of its own: ``sandbox.agent["taken-ID"]``. The place that it
had is empty from then on, so the next plan makes another one there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from nexus.kinds.durations import format_duration
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.observation import Observation, Presence
from nexus.model.resources import Pool
from nexus.model.state import ResourceRecord, State, Taken
from nexus.planning.request import PlanRequest
from nexus.planning.work import Decision

TAKE: Final = "take"
"""The verb of the intent of whoever takes a sandbox. No plan has it."""

_TAKEN: Final = "taken-"
_ENDED: Final = frozenset({Presence.EXPIRED, Presence.GONE})


def taken_address(pool: Address, sandbox_id: str) -> Address:
    """The address of what was taken. Its key is the sandbox's own id, which no other ever has."""
    return Address(pool.kind, pool.name, f"{_TAKEN}{sandbox_id}")


def as_taken(record: ResourceRecord, taken: Taken) -> ResourceRecord:
    """The record of a member once it is somebody's own."""
    address = taken_address(record.address.group, record.id)
    return replace(record, address=address, outputs={**record.outputs, "address": str(address)}, taken=taken)


def is_whole(record: ResourceRecord) -> bool:
    """Whether all was done in a sandbox that was declared when it was applied last."""
    kind = KINDS[record.address.kind]
    expected = {field.name for field in kind.fields if not field.meta and not field.folds_into}
    if not expected <= record.attributes.keys():
        return False
    return all(record.setup.get(unit.name) == unit.digest for unit in kind.units(record.attributes))


def without_ended(state: State, observation: Observation) -> State:
    """The state without what was taken and has ended: that is as it should be, and no change to be planned."""
    ended = {
        address
        for address, record in state.resources.items()
        if record.taken is not None
        and (seen := observation.records.get(record.uid)) is not None
        and seen.presence in _ENDED
    }
    if not ended:
        return state
    return replace(
        state, resources={address: item for address, item in state.resources.items() if address not in ended}
    )


def without_taken(state: State) -> State:
    """The state without what is somebody's own: what becomes of its inside is no affair of the project."""
    kept = {address: record for address, record in state.resources.items() if record.taken is None}
    return state if len(kept) == len(state.resources) else replace(state, resources=kept)


def is_kept(request: PlanRequest, record: ResourceRecord) -> bool:
    """Whether it was taken from a pool that is still there: it lives until its time ends."""
    return record.taken is not None and not request.options.destroy and record.address.group in request.graph.pools


def whose(record: ResourceRecord) -> str:
    """What a plan says of the end of what was taken."""
    if record.taken is None:
        return ""
    return f"taken by {record.taken.by}" if record.taken.by else "taken by somebody"


class Vacancies:
    """The places of pools that are empty, and why. Made once for a plan, however large the pools are."""

    def __init__(self, request: PlanRequest) -> None:
        self._pools = request.graph.pools
        pooled = [record for record in request.state.resources.values() if record.address.group in self._pools]
        self._begun = {record.address.group for record in pooled}
        self._taken_from = {replace(item.address, key=item.taken.place) for item in pooled if item.taken is not None}

    def cause(self, address: Address) -> str | None:
        """Why a member is to be made; None for what is of no pool, or of one that was never filled."""
        if address in self._taken_from:
            return "taken from the pool"
        return "the pool is not full" if address.group in self._begun else None


def too_old(pool: Pool | None, record: ResourceRecord, now: datetime) -> str | None:
    """Why a member is to be replaced although nothing of it has changed."""
    if pool is None or pool.max_age is None:
        return None
    try:
        age = (now - datetime.fromisoformat(record.created_at)).total_seconds()
    except ValueError:
        return None
    return None if age < pool.max_age else f"older than {format_duration(pool.max_age)} (pool.max_age)"


def count_replaced(request: PlanRequest, decisions: Mapping[Address, Decision]) -> None:
    """Has each replacement of a member say how much of its pool is replaced with it."""
    for pool in request.graph.pools:
        there = [
            decision
            for address, decision in decisions.items()
            if address.group == pool and decision.situation is not None and decision.situation.exists
        ]
        replaced = [decision for decision in there if decision.replaces]
        for decision in replaced:
            decision.cause += f"; replaces {len(replaced)} of {len(there)} in the pool"
