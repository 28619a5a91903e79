"""Which sandboxes stand on a shared setup: E2B keeps a snapshot, and refuses to delete it, while any of them exists."""

from __future__ import annotations

from collections.abc import Iterable

from nexus.kinds.shared_setup import KIND
from nexus.model.addresses import Address
from nexus.model.changes import Action, Verb
from nexus.model.resources import OnDestroy
from nexus.model.state import ResourceRecord
from nexus.planning.request import PlanRequest
from nexus.planning.situation import MADE_FROM_FACT, situation_of
from nexus.planning.work import Decision


def without_used_setups(request: PlanRequest, going: list[Decision], ending: Iterable[Decision]) -> list[Decision]:
    """``going`` without the setups that something stands on that does not end: they go with the last of that.

    Where one of those that end is left paused for good, nexus forgets the snapshot, too.
    """
    fates = {decision.removed.uid: decision.on_destroy for decision in ending if decision.removed is not None}
    kept: list[Decision] = []
    for decision in going:
        if decision.address.kind == KIND and decision.removed is not None:
            users = [record.uid for record in _standing_on(request, decision.removed)]
            if not all(user in fates for user in users):
                continue
            if any(fates[user] is OnDestroy.PAUSE for user in users):
                decision.action, decision.removal = Action.FORGET, Verb.FORGET
                decision.cause += "; the sandboxes left paused need it"
        kept.append(decision)
    return kept


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
