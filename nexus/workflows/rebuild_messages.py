"""What `state rebuild` says: its question, its refusal, and its warnings about what nobody can tell."""

from __future__ import annotations

from collections.abc import Sequence

from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error, warning
from nexus.model.state import ResourceRecord, State
from nexus.providers.base import Live


def refuse_nothing(state: State, before: State | None, *, sure: bool) -> None:
    if sure or before is None or state.resources or not any(item.kind != "step" for item in before.resources):
        return
    raise DiagnosticsError(
        error(
            "nothing-found",
            "Nothing of what is remembered was found",
            detail=f"The state knows {len(before.resources)} resources, and none of them is out there. "
            "Perhaps this is another account.",
            hint="check the target and the API key; --yes writes a state that knows nothing",
        )
    )


def question(state: State, before: State | None) -> str:
    known = "" if before is None else f" in place of the one that knows {len(before.resources)}"
    return f"Write a state with the {len(state.resources)} resources that were found{known}?"


def unreadable(told: str) -> Diagnostic:
    return warning(
        "state-not-read",
        "What is remembered can't be used",
        detail=told,
        hint="it stays beside the new state, as state.json.backup and journal.jsonl.aside",
    )


def unclaimed(names: Sequence[str]) -> Diagnostic:
    return warning(
        "unclaimed-names",
        "The account has templates or volumes that look like the project's, and no block claims them",
        detail=f"{', '.join(names)}. They are known by their names alone, so they were left out.",
        hint="put their blocks back, or delete them by hand",
    )


def double(address: Address, kept: Live, other: Live) -> Diagnostic:
    why = "it is what the manifest wants" if kept.spec != other.spec else "it is the older one"
    return warning(
        "two-for-one-address",
        "Two live objects say that they are the same resource",
        detail=f"{kept.id} was taken for {address}, because {why}; {other.id} is a leftover, to be deleted by the next "
        "apply.",
        address=str(address),
    )


def not_looked_into(address: Address, live: Live) -> Diagnostic:
    state = "does not answer" if live.running else "is paused"
    return warning(
        "not-looked-into",
        "A sandbox could not be looked into",
        detail=f"{address} {state}, so what was set up inside it was taken from the manifest.",
        hint="once it runs, «nexus plan --deep» tells what is really there",
        address=str(address),
    )


def run_lost(address: Address) -> Diagnostic:
    return warning(
        "run-not-restored",
        "Nothing tells whether a step has run",
        detail=f"What {address} did is recorded nowhere but in the state; the next apply runs it again.",
        address=str(address),
    )


def not_in_manifest(record: ResourceRecord) -> Diagnostic:
    return warning(
        "not-in-manifest",
        "A live sandbox is in no block of the manifest",
        detail=f"{record.id} says that it is {record.address}; the next apply deletes it. Whether it was protected "
        "nobody knows.",
        hint="put its block back to keep it; what «nexus state mv» has renamed has to be in «moved», to be rebuilt; "
        f"or forget it: nexus state rm '{record.address}'",
        address=str(record.address),
    )
