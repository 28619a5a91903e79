"""From decisions to operations in an order: nothing starts before its needs, nothing goes before what needs it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from nexus.graph import Dag
from nexus.kinds.shared_setup import KIND as SETUP
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.planning.work import Decision, Work


@dataclass(slots=True, eq=False)
class _Draft:
    """An operation without an id yet; ``needs`` are other drafts."""

    address: Address
    work: Work
    uid: str = ""
    needs: list[_Draft] = field(default_factory=list)


class Assembly:
    """Puts the work of all decisions in order.

    ``stirred`` is what waits for the deletion of an old incarnation. No deletion may wait for the work on these, and
    that is what keeps the order free of circles. ``recorded_needs`` is what recorded resources needed.
    """

    def __init__(
        self,
        decisions: Mapping[Address, Decision],
        leftovers: Iterable[Decision],
        dag: Dag[Address],
        order: list[Address],
        stirred: frozenset[Address],
        recorded_needs: Mapping[Address, tuple[Address, ...]],
    ) -> None:
        self._decisions = decisions
        self._leftovers = list(leftovers)
        self._dag = dag
        self._order = order
        self._recorded_needs = recorded_needs
        self._drafts: list[_Draft] = []
        self._last: dict[Address, _Draft] = {}  # the end of what is done on the wanted object
        self._removals: dict[Address, _Draft] = {}
        self._ready: dict[Address, tuple[_Draft, ...]] = {}
        self._stirred = stirred

    def operations(self) -> tuple[Operation, ...]:
        """All operations, each after those that it needs, with ids in that order."""
        self._draft_removals()
        for address in self._order:
            self._chain(address)
        self._order_removals()
        for leftover in self._leftovers:
            self._draft_leftover(leftover)
        self._setups_last()
        return _numbered(self._drafts)

    # ---- drafting

    def _draft_removals(self) -> None:
        for address, decision in self._decisions.items():
            if decision.removed is not None:
                work = Work(decision.removal, decision.removal_unit, decision.cause)
                self._removals[address] = self._add(_Draft(address, work, decision.removed.uid))

    def _chain(self, address: Address) -> None:
        """The work on one address, one after the other, after what it needs is ready."""
        ready = self._ready_needs(address)
        decision = self._decisions.get(address)
        removal = self._removals.get(address)
        if decision is None or not decision.work:
            self._ready[address] = ready
            return
        before = list(ready)
        if removal is not None and not decision.create_first:
            if decision.replaces:
                # What was there stays until the new one can be made, unless the two wait for each other.
                calm = not any(needed in self._stirred for needed in self._dag.needs(address))
                removal.needs.extend(ready if calm else ())
            before.append(removal)
        for work in decision.work:
            draft = self._add(_Draft(address, work, needs=before))
            before = [draft]
        self._last[address] = before[0]
        self._ready[address] = (before[0],)

    def _ready_needs(self, address: Address) -> tuple[_Draft, ...]:
        """The operations after which everything that ``address`` needs is ready, through what does not change."""
        found: dict[int, _Draft] = {}
        for needed in self._dag.needs(address):
            for draft in self._ready.get(needed, ()):
                found[id(draft)] = draft
        return tuple(found.values())

    def _order_removals(self) -> None:
        """What needed a resource goes before it, or has been changed to need it no more."""
        if not self._removals:
            return
        for dependant, needs in self._recorded_needs.items():
            for needed in needs:
                if needed in self._removals and not self._is_gone(needed):
                    self._removals[needed].needs.extend(self._before_removal(dependant, needed))
        for address, decision in self._decisions.items():
            if decision.create_first and address in self._removals:
                work = (self._last[item] for item in (address, *self._users(address)) if item in self._last)
                self._removals[address].needs.extend(work)

    def _users(self, address: Address) -> set[Address]:
        """What needs it, and what needs those of them to which nothing is done."""
        found: set[Address] = set()
        front = [address]
        while front:
            for user in self._dag.needed_by(front.pop()):
                if user not in found and user not in self._stirred:
                    found.add(user)
                    front.extend(() if user in self._last else (user,))
        return found

    def _before_removal(self, dependant: Address, needed: Address) -> Iterator[_Draft]:
        if dependant in self._removals and not self._is_gone(dependant):
            yield self._removals[dependant]
        moves_on = needed not in self._dag.needs(dependant) and dependant not in self._stirred
        if dependant in self._last and moves_on:
            yield self._last[dependant]

    def _is_gone(self, address: Address) -> bool:
        """Whether only the memory of an old object goes, to make room for the new one: nothing waits for that."""
        return self._decisions[address].removal is Verb.FORGET and self._decisions[address].anew

    def _draft_leftover(self, leftover: Decision) -> None:
        """It goes once its successor is done, and before what it needed itself; where it can't do both, before."""
        if (record := leftover.removed) is None:
            return
        work = Work(leftover.removal, leftover.removal_unit, leftover.cause)
        draft = self._add(_Draft(leftover.address, work, record.uid))
        held = [item for item in record.depends_on if item in self._removals and not self._is_gone(item)]
        for needed in held:
            self._removals[needed].needs.append(draft)
        if held and leftover.address in self._stirred:
            return
        if successor := self._last.get(leftover.address):
            draft.needs.append(successor)

    def _setups_last(self) -> None:
        """A shared setup can't go before the sandboxes that may stand on it: any but those that wait for it."""
        gone = [draft for draft in self._drafts if draft.uid and draft.address.kind == "sandbox"]
        for address, setup in self._removals.items():
            if address.kind == SETUP and not self._is_gone(address):
                known = self._waiting_for(setup) | set(map(id, setup.needs))
                setup.needs.extend(item for item in gone if id(item) not in known)

    def _waiting_for(self, draft: _Draft) -> set[int]:
        """The identities of what comes after it, by whatever way."""
        after: dict[int, list[_Draft]] = {}
        for item in self._drafts:
            for need in item.needs:
                after.setdefault(id(need), []).append(item)
        found: set[int] = set()
        front = [draft]
        while front:
            for item in after.get(id(front.pop()), ()):
                if id(item) not in found:
                    found.add(id(item))
                    front.append(item)
        return found

    def _add(self, draft: _Draft) -> _Draft:
        self._drafts.append(draft)
        return draft


def _numbered(drafts: list[_Draft]) -> tuple[Operation, ...]:
    index = {id(draft): position for position, draft in enumerate(drafts)}
    needs = {position: {index[id(need)] for need in draft.needs} for position, draft in enumerate(drafts)}
    order = Dag(needs).order()
    width = max(4, len(str(len(drafts))))
    ids = {position: f"op-{number:0{width}d}" for number, position in enumerate(order, start=1)}
    return tuple(
        Operation(
            id=ids[position],
            verb=drafts[position].work.verb,
            address=drafts[position].address,
            needs=tuple(sorted(ids[need] for need in needs[position])),
            unit=drafts[position].work.unit,
            cause=drafts[position].work.cause,
            uid=drafts[position].uid,
            force=drafts[position].work.force,
        )
        for position in order
    )
