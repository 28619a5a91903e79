"""What nobody wants any more: records without a block, everything on destroy, and what replacements left behind."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import partial
from typing import Final

from nexus.graph.desired import Removed
from nexus.kinds.shared_setup import KIND
from nexus.model.addresses import Address
from nexus.model.changes import Action, Verb
from nexus.model.diagnostics import Diagnostics, SourceRange, error
from nexus.model.resources import OnDestroy
from nexus.model.state import ResourceRecord
from nexus.planning.foundations import keep_for_the_left, without_used_setups
from nexus.planning.pools import is_kept, whose
from nexus.planning.request import PlanRequest
from nexus.planning.situation import situation_of
from nexus.planning.work import Decision

_WITHOUT_OBJECT = ("step",)
_KEPT: Final = {
    OnDestroy.KILL: "",
    OnDestroy.PAUSE: "left paused in the account (on_destroy)",
    OnDestroy.SNAPSHOT: "a snapshot of it stays (on_destroy)",
}


def removals(
    request: PlanRequest, chosen: Collection[Address] | None, replaced: Collection[Decision] = ()
) -> list[Decision]:
    """A decision for each record that is to go. A step, and what is gone already, is only forgotten.

    ``replaced`` are what else is decided: old incarnations that make room go as well.
    """
    destroy = request.options.destroy
    cause = "asked for by destroy" if destroy else "no longer in the manifest"
    going = [
        _removal(request, record, cause)
        for address, record in sorted(
            request.state.resources.items(), key=partial(_last_made_first, list(request.kinds))
        )
        if (destroy or address not in request.graph.resources)
        and (chosen is None or address in chosen)
        and not is_kept(request, record)
    ]
    keep_for_the_left(request, going)
    if not any(decision.address.kind == KIND for decision in going):
        return going
    return without_used_setups(request, going, [*going, *replaced, *leftovers(request, chosen)])


def _last_made_first(kinds: Sequence[str], item: tuple[Address, ResourceRecord]) -> tuple[int, str, int, str]:
    """The order in which people read what goes: what stands on something before that; instances as they count."""
    address, key = item[0], item[0].key or ""
    return -kinds.index(address.kind), address.name, len(key), key


def leftovers(request: PlanRequest, chosen: Collection[Address] | None) -> list[Decision]:
    """Old incarnations whose replacement exists already."""
    return [
        _removal(request, record, "left over from a replacement", lives_on=_is_current(request, record))
        for record in request.state.deposed
        if chosen is None or record.address in chosen
    ]


def _is_current(request: PlanRequest, record: ResourceRecord) -> bool:
    """Whether a current record is about the very same object, so that it must not go."""
    current = request.state.resources.get(record.address)
    return current is not None and current.id == record.id


def _removal(request: PlanRequest, record: ResourceRecord, cause: str, *, lives_on: bool = False) -> Decision:
    situation = situation_of(record, request.observation)
    is_gone = bool(situation.missing) and not situation.remains
    forget = record.address.kind in _WITHOUT_OBJECT or is_gone or lives_on
    if not forget and not request.options.destroy and (place := _let_go(request, record.address)):
        return Decision(
            address=record.address,
            action=Action.FORGET,
            cause="removed from the manifest, and left alone (removed)",
            source=place.source,
            situation=situation,
            removed=record,
            removal=Verb.FORGET,
        )
    on_destroy = OnDestroy.KILL if forget else destroyed_as(request, record)
    return Decision(
        address=record.address,
        action=Action.FORGET if forget else Action.RELEASE if on_destroy is OnDestroy.PAUSE else Action.DELETE,
        cause="; ".join(filter(None, (cause, whose(record), situation.missing, _KEPT[on_destroy]))),
        data_loss=record.address.kind == "volume" and not forget,
        situation=situation,
        removed=record,
        removal=Verb.FORGET if forget else Verb.DELETE,
        on_destroy=on_destroy,
    )


def destroyed_as(request: PlanRequest, record: ResourceRecord) -> OnDestroy:
    """What its block says becomes of it; once that is gone, what the state remembers."""
    spec = request.graph.resources.get(record.address)
    return record.on_destroy if spec is None else spec.lifecycle.on_destroy


def _let_go(request: PlanRequest, address: Address) -> Removed | None:
    """The entry of ``removed`` that leaves the resource alone; an instance's own comes before its block's."""
    if address in request.graph.resources:
        return None
    entries = [item for item in request.graph.removed if item.address.covers(address)]
    entry = min(entries, key=lambda item: item.address != address, default=None)
    return entry if entry is not None and not entry.destroy else None


def check_protected(request: PlanRequest, decisions: Iterable[Decision], diagnostics: Diagnostics) -> None:
    """Refuses to delete or replace what its block protects, or, once that is gone, what the state remembers so."""
    for decision in decisions:
        record = decision.removed
        if record is None or decision.removal is not Verb.DELETE or not _is_protected(request, record):
            continue
        what = "replaced" if decision.replaces else "deleted"
        diagnostics.add(
            error(
                "prevent-destroy",
                f"{record.address} is protected and can't be {what}",
                detail=f"The plan wants it {what} ({decision.cause}), but its lifecycle says prevent_destroy.",
                hint=_how_to_unlock(request, record.address),
                address=str(record.address),
                range=decision.source or _source(request, record.address),
            )
        )


def _is_protected(request: PlanRequest, record: ResourceRecord) -> bool:
    current = request.state.resources.get(record.address)
    if current is None or current.uid != record.uid:
        return False  # a leftover: its replacement was allowed
    spec = request.graph.resources.get(record.address)
    declared = spec is not None and spec.lifecycle.prevent_destroy
    if spec is not None and not request.options.destroy:
        return declared
    return record.protected or declared


def _how_to_unlock(request: PlanRequest, address: Address) -> str:
    if address in request.graph.resources:
        return "set lifecycle.prevent_destroy: false in its block and apply that first"
    return "put its block back with lifecycle.prevent_destroy: false, apply, and take it out then; or nexus state rm"


def _source(request: PlanRequest, address: Address) -> SourceRange | None:
    spec = request.graph.resources.get(address)
    return None if spec is None else spec.source
