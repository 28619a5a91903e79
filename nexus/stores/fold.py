"""From a state and a journal to the next state. Pure: the executor uses it while it works, a later run to recover."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import assert_never

from nexus.model.addresses import Address
from nexus.model.state import Intent, ResourceRecord, State, Tree
from nexus.model.values import Attributes, Value
from nexus.stores.entries import Begin, Done, Entry, Failed

UNRECORDED = ("catalogue",)
"""Kinds that belong to the account, not to a project: they are made when needed, and never in a state."""


def fold(state: State, entries: Iterable[Entry]) -> State:
    """The state once all entries have happened to it. The serial stays: it counts what was written."""
    folding = Folding(state)
    for entry in entries:
        folding.apply(entry)
    return folding.state()


class Folding:
    """A state under way. Each entry costs the same, however large the state is."""

    __slots__ = ("_address_of", "_base", "_changed", "_deposed", "_pending", "_resources", "_trees")

    def __init__(self, state: State) -> None:
        self._base = state
        self._resources = dict(state.resources)
        self._deposed = {record.uid: record for record in state.deposed}
        self._trees = dict(state.trees)
        self._pending = {intent.key: intent for intent in state.pending}
        self._address_of = {record.uid: address for address, record in state.resources.items()}
        self._changed = False

    def apply(self, entry: Entry) -> None:
        self._changed = True
        match entry:
            case Begin(intent=intent):
                self._pending[intent.key] = intent
            case Done():
                self._pending.pop(entry.key, None)
                self._trees.update(entry.trees)
                self._settle(entry.record, entry.removed)
            case Failed():
                if not entry.unresolved:
                    self._pending.pop(entry.key, None)
                self._settle(entry.record, entry.removed)
            case _:
                assert_never(entry)

    def record(self, address: Address) -> ResourceRecord | None:
        """The current incarnation of an address."""
        return self._resources.get(address)

    def incarnation(self, address: Address, uid: str) -> ResourceRecord | None:
        """One incarnation of an address, current or deposed."""
        current = self._resources.get(address)
        return current if current is not None and current.uid == uid else self._deposed.get(uid)

    def pending(self, address: Address) -> Iterator[Intent]:
        """Intents about an address whose outcome is not known."""
        return (intent for intent in self._pending.values() if intent.address == address)

    @property
    def trees(self) -> Mapping[str, Tree]:
        """Upload trees known so far; grows."""
        return self._trees

    def state(self) -> State:
        """Everything so far, as a value; the very state that was begun with when nothing happened."""
        if not self._changed:
            return self._base
        return replace(
            self._base,
            resources=dict(self._resources),
            deposed=tuple(self._deposed.values()),
            trees=dict(self._trees),
            pending=tuple(self._pending.values()),
        )

    def _settle(self, record: ResourceRecord | None, removed: str) -> None:
        if removed:
            self._remove(removed)
        if record is not None and record.address.kind not in UNRECORDED:
            self._keep(record)

    def _remove(self, uid: str) -> None:
        if self._deposed.pop(uid, None) is None and (address := self._address_of.pop(uid, None)) is not None:
            del self._resources[address]

    def _keep(self, record: ResourceRecord) -> None:
        if record.uid in self._deposed:
            self._deposed[record.uid] = record
            return
        current = self._resources.get(record.address)
        if current is not None and current.uid != record.uid:
            self._address_of.pop(current.uid, None)
            if current.id != record.id:  # what has its name from its address is the same object under a new uid
                self._deposed[current.uid] = current
        self._resources[record.address] = record
        self._address_of[record.uid] = record.address


def without_unused_trees(state: State) -> State:
    """The state without upload trees that no record names any more."""
    if not state.trees:
        return state
    used: set[str] = set()
    for attributes in _all_attributes(state):
        _collect(list(attributes.values()), state.trees.keys(), used)
    if len(used) == len(state.trees):
        return state
    return replace(state, trees={digest: tree for digest, tree in state.trees.items() if digest in used})


def _all_attributes(state: State) -> Iterator[Attributes]:
    for record in (*state.resources.values(), *state.deposed):
        yield record.attributes
    for intent in state.pending:
        if intent.draft is not None:
            yield intent.draft.attributes


def _collect(value: Value, digests: Collection[str], used: set[str]) -> None:
    match value:
        case str():
            if value in digests:
                used.add(value)
        case list():
            for item in value:
                _collect(item, digests, used)
        case dict():
            for item in value.values():
                _collect(item, digests, used)
        case _:
            pass
