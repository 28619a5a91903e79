"""What one decision means for others: who is replaced first, and which sandboxes must be up for whom."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from nexus.graph import Dag
from nexus.model.addresses import Address
from nexus.model.changes import Action, Verb
from nexus.planning.work import Decision, Work

_ONE_OF_A_NAME: Final = ("volume", "template")
"""Kinds whose objects are known by name: the new one can't exist beside the old one."""

_QUIET: Final = frozenset({Verb.RECORD, Verb.FORGET, Verb.DELETE, Verb.SET_TAGS, Verb.SET_PUBLIC, Verb.CHECK})
"""Verbs for which no sandbox has to be up."""

ENOUGH_SECONDS: Final = 300


def order_replacements(
    decisions: Mapping[Address, Decision], order: list[Address], dag: Dag[Address]
) -> frozenset[Address]:
    """Marks what is made before its old incarnation goes.

    What such a replacement needs must be replaced in the same way, or the old one would go too early; where that can't
    be, because of a name that only one object can have, it is deleted first after all. Returns what waits for a
    deletion: what is deleted first, and everything that needs it.
    """
    replaced = {
        address: decisions[address] for address in order if address in decisions and decisions[address].replaces
    }
    early: set[Address] = set()  # what something that is made first needs, through what stays as it is, too
    for address in reversed(order) if replaced else ():
        decision = replaced.get(address)
        if decision is not None and decision.evaluated is not None:
            if address.kind in _ONE_OF_A_NAME:
                continue
            wanted = decision.evaluated.spec.lifecycle.create_before_destroy
            decision.create_first = decision.create_first or wanted or address in early
        if address in early or (decision is not None and decision.create_first):
            early.update(dag.needs(address))
    stirred: set[Address] = set()
    for address in order if replaced else ():
        decision = replaced.get(address)
        waits = any(needed in stirred for needed in dag.needs(address))
        if decision is not None and waits:
            decision.create_first = False
        if waits or (decision is not None and not decision.create_first):
            stirred.add(address)
    return frozenset(stirred)


def keep_up(decisions: Mapping[Address, Decision], dag: Dag[Address], now: datetime) -> None:
    """Resumes and extends sandboxes that something in this plan needs up."""
    for address, decision in decisions.items():
        if address.kind != "sandbox" or decision.anew or decision.situation is None or not decision.situation.exists:
            continue
        user = _user(address, decision, decisions, dag)
        if user is None:
            continue
        work = _wake(decision, now, user)
        if work is None:
            continue
        if decision.action is None:
            decision.action = Action.RESUME if work.verb is Verb.RESUME else Action.EXTEND
            decision.cause = work.cause
        decision.work.insert(1 if decision.action is Action.ADOPT else 0, work)


def _user(address: Address, decision: Decision, decisions: Mapping[Address, Decision], dag: Dag[Address]) -> str | None:
    """Who needs the sandbox up: itself, or the first that depends on it and does something."""
    if any(item.verb not in _QUIET for item in decision.work):
        return "it is changed"
    for dependant in dag.needed_by(address):
        other = decisions.get(dependant)
        if other is not None and any(item.verb not in _QUIET for item in other.work):
            return f"{dependant} needs it"
    return None


def _wake(decision: Decision, now: datetime, user: str) -> Work | None:
    situation = decision.situation
    if situation is None or any(item.verb in (Verb.ARM, Verb.EXTEND) for item in decision.work):
        is_paused = situation is not None and situation.is_paused
        return Work(Verb.RESUME, cause=f"paused, and {user}") if is_paused else None
    if situation.is_paused:
        return Work(Verb.RESUME, cause=f"paused, and {user}")
    left = situation.seconds_left(now)
    timeout = situation.record.attributes.get("timeout")
    enough = min(timeout, ENOUGH_SECONDS) if isinstance(timeout, int) else ENOUGH_SECONDS
    if left is None or left >= enough:
        return None
    return Work(Verb.EXTEND, cause=f"{max(int(left), 0)} s left, and {user}")
