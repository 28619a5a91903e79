"""`moved:`: the state under the addresses that resources have now, before anything is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nexus.kinds.shared_setup import setup_address
from nexus.model.addresses import Address, address_now
from nexus.model.diagnostics import Diagnostic, Diagnostics, error
from nexus.model.state import Intent, ResourceRecord, State

_NAMED_BY_ADDRESS: Final = ("template", "volume", "catalogue")
"""Kinds whose objects E2B knows by a name that comes of the address: under another one they are other objects."""


def moved(state: State, moves: Mapping[Address, Address]) -> State:
    """``state`` with what lies at an old address at its new one; an address without a key moves all instances.

    What is not in the state is left out: a move stays in the manifest after it was made. The shared setup of a block
    stays where it is: E2B knows it by that name. Raises DiagnosticsError when something can't be moved.
    """
    wanted = {address: new for address in state.resources if (new := address_now(address, moves)) != address}
    if not wanted:
        return state
    found = Diagnostics(_refusals(state, wanted))
    found.raise_if_errors()
    records = (_at_new(record, moves) for record in state.resources.values())
    return replace(
        state,
        resources={record.address: record for record in records},
        deposed=tuple(_at_new(record, moves) for record in state.deposed),
        pending=tuple(_intent(intent, moves) for intent in state.pending),
    )


def _refusals(state: State, wanted: Mapping[Address, Address]) -> list[Diagnostic]:
    found: list[Diagnostic] = []
    for old, new in wanted.items():
        if old.kind != new.kind:
            found.append(_refused(old, new, "they are of different kinds", "a thing keeps its kind"))
        elif old.kind in _NAMED_BY_ADDRESS:
            why = f"E2B knows a {old.kind} by its name, and that would be another one"
            found.append(_refused(old, new, why, "keep the name, or let a new one be made"))
        elif list(wanted.values()).count(new) > 1 or (new in state.resources and new not in wanted):
            hint = f"take it out of «moved», or {new} out of the state (nexus state rm)"
            found.append(_refused(old, new, f"there is another {new}", hint))
    return found


def _refused(old: Address, new: Address, why: str, hint: str) -> Diagnostic:
    return error("cannot-move", f"{old} can't become {new}", detail=f"{why}.".capitalize(), hint=hint, address=str(new))


def _at_new(record: ResourceRecord, moves: Mapping[Address, Address]) -> ResourceRecord:
    address = address_now(record.address, moves)
    outputs = {**record.outputs, "address": str(address)} if "address" in record.outputs else record.outputs
    renamed = {setup_address(record.address): setup_address(address)}  # what it would be made from by now
    needed = tuple(renamed.get(item) or address_now(item, moves) for item in record.depends_on)
    return replace(record, address=address, outputs=outputs, depends_on=needed)


def _intent(intent: Intent, moves: Mapping[Address, Address]) -> Intent:
    draft = None if intent.draft is None else _at_new(intent.draft, moves)
    return replace(intent, address=address_now(intent.address, moves), draft=draft)
