"""What sandboxes stand on: E2B keeps snapshots, templates and volumes, and refuses to delete them, for as long as one
was made from them or has them mounted.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from nexus.kinds.shared_setup import KIND
from nexus.model.addresses import Address
from nexus.model.changes import Action, Verb
from nexus.model.resources import OnDestroy
from nexus.model.state import ResourceRecord
from nexus.planning.request import PlanRequest
from nexus.planning.situation import MADE_FROM_FACT, situation_of
from nexus.planning.work import Decision

_FOUNDATIONS: Final = ("volume", "template")


def without_used_setups(request: PlanRequest, going: list[Decision], ending: Iterable[Decision]) -> list[Decision]:
    """``going`` without the setups that something stands on that does not end: they go with the last of that.

    Where one of those that end is left in the account for good, nexus forgets the snapshot, too.
    """
    stays = {decision.removed.uid: _is_left(request, decision) for decision in ending if decision.removed is not None}
    kept: list[Decision] = []
    for decision in going:
        if decision.address.kind == KIND and decision.removed is not None:
            users = [record.uid for record in _standing_on(request, decision.removed)]
            if not all(user in stays for user in users):
                continue
            if any(stays[user] for user in users):
                _forget(decision)
        kept.append(decision)
    return kept


def keep_for_the_left(request: PlanRequest, going: list[Decision]) -> None:
    """What a sandbox needs that is left alone (``removed``), and nobody else is told to destroy, is left with it."""
    needed: set[Address] = set()
    front = [item.removed for item in going if item.address.kind == "sandbox" and _is_let_go(request, item)]
    while front:
        record = front.pop()
        for address in () if record is None else record.depends_on:
            if address not in needed and address.kind in _FOUNDATIONS:
                needed.add(address)
                front.append(request.state.resources.get(address))
    said = [item.address for item in request.graph.removed]
    for decision in going:
        is_said = any(address.covers(decision.address) for address in said)
        if decision.address in needed and decision.removal is Verb.DELETE and not is_said:
            _forget(decision)


def _is_left(request: PlanRequest, decision: Decision) -> bool:
    return decision.on_destroy is OnDestroy.PAUSE or _is_let_go(request, decision)


def _is_let_go(request: PlanRequest, decision: Decision) -> bool:
    """Whether it is there, and ``removed`` says that it is to be left alone."""
    if decision.removal is not Verb.FORGET or decision.situation is None or decision.situation.missing:
        return False
    return any(item.address.covers(decision.address) and not item.destroy for item in request.graph.removed)


def _forget(decision: Decision) -> None:
    decision.action, decision.removal, decision.data_loss = Action.FORGET, Verb.FORGET, False
    decision.cause += "; sandboxes that are left in the account need it"


def _standing_on(request: PlanRequest, setup: ResourceRecord) -> Iterable[ResourceRecord]:
    """Sandboxes that were made from it, or may have been: those of its block, and all where nobody looked."""
    block = Address("sandbox", setup.address.name)
    for record in (*request.state.resources.values(), *request.state.deposed):
        if record.address.kind != "sandbox" or situation_of(record, request.observation).missing:
            continue
        seen = request.observation.records.get(record.uid)
        made_from = None if seen is None else seen.facts.get(MADE_FROM_FACT)
        may_be = made_from is None and not request.observation.complete
        if record.address.group == block or made_from == setup.attributes.get("name") or may_be:
            yield record
