"""What sandboxes set up alike: done once for all that are to be made, where that pays, and else in each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nexus.graph import Dag
from nexus.kinds.durations import format_duration
from nexus.kinds.shared_setup import KIND, LEAST
from nexus.model.addresses import Address
from nexus.model.changes import Action, Verb
from nexus.planning.work import Decision, Work

_SECONDS: Final = {Verb.INSTALL: 10, Verb.UPLOAD: 1, Verb.RUN_COMMAND: 2}
"""What a unit takes where nothing is known of it: only to give an idea of what is saved."""


def share(decisions: Mapping[Address, Decision], dag: Dag[Address]) -> None:
    """Has new sandboxes made from the shared setup of their block where it pays; elsewhere nothing is done for it."""
    for address, decision in decisions.items():
        if address.kind != KIND or decision.evaluated is None:
            continue
        users = [
            user
            for user in (decisions.get(needing) for needing in dag.needed_by(address))
            if user is not None and user.address.kind == "sandbox" and user.anew
        ]
        if _pays(decision, len(users)):
            _made_from(decision, users)
        else:
            _not_now(decision)


def _pays(decision: Decision, users: int) -> bool:
    evaluated = decision.evaluated
    if evaluated is None or not evaluated.units or not users:
        return False
    least = evaluated.concealed.get(LEAST)
    is_there = decision.action is None and not decision.work
    return is_there or (isinstance(least, int) and users >= least)


def _made_from(decision: Decision, users: list[Decision]) -> None:
    units = () if decision.evaluated is None else decision.evaluated.units
    done = {unit.name for unit in units}
    for user in users:
        user.work = [_from_snapshot(item, decision.address) for item in user.work if item.unit not in done]
    if decision.replaces:  # the old snapshot stays for the sandboxes that were made from it
        decision.action, decision.removed = Action.UPDATE, None
        decision.work = [Work(Verb.BUILD, cause=decision.cause, force=True)]
    if decision.action is not None:
        seconds = sum(_SECONDS.get(unit.verb, 0) for unit in units) * (len(users) - 1)
        saved = f"once for {len(users)} sandboxes; saves about {format_duration(seconds)} of work"
        if len(users) == 1:
            saved = "once for this sandbox and those that are made in its place"
        decision.cause = f"{decision.cause}: {saved}" if decision.situation is not None else saved


def _from_snapshot(work: Work, setup: Address) -> Work:
    return replace(work, unit=str(setup)) if work.verb is Verb.CREATE else work


def _not_now(decision: Decision) -> None:
    """It stays as it is, there or not there."""
    decision.action, decision.cause, decision.fields = None, "", ()
    decision.work.clear()
    decision.removed = None
