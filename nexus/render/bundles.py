"""Changes that are alike, as one: the instances of a block to which the same happens."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nexus.model.addresses import Address
from nexus.model.changes import Change

FOLD_FROM: Final = 3
"""So many instances and more are shown as one."""

OTHERS_DIFFER: Final = "others differ"
"""What is said of a field that every instance has a value of its own for, behind that of the first."""

_KEYS_SHOWN: Final = 6
_SHORTEST_RANGE: Final = 3
_LONGEST_KEY: Final = 20


@dataclass(frozen=True, slots=True)
class Bundle:
    """A change, and others of the same block that change the same fields of other instances."""

    first: Change
    others: Sequence[Change] = ()

    @property
    def count(self) -> int:
        return 1 + len(self.others)

    @property
    def title(self) -> str:
        """The address, or what stands for those of all: ``sandbox.worker[0…99]``."""
        return title([change.address for change in (self.first, *self.others)])

    @property
    def own_fields(self) -> frozenset[str]:
        """Paths of the fields whose values differ; what is shown of them is the first's."""
        return frozenset(
            diff.path
            for number, diff in enumerate(self.first.fields)
            if any(other.fields[number] != diff for other in self.others)
        )


def bundles(changes: Sequence[Change], *, fold: bool) -> Iterable[Bundle]:
    """The changes in their order. With ``fold``, three and more instances with the same fields are one."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        likeness = (change.address.group, change.action, change.cause, tuple(diff.path for diff in change.fields))
        groups.setdefault(likeness if fold and change.address.key is not None else change.address, []).append(change)
    for members in groups.values():
        if len(members) < FOLD_FROM:
            yield from (Bundle(change) for change in members)
        else:
            first, *others = sorted(members, key=lambda change: key_order(change.address))
            yield Bundle(first, others)


def alike(likeness: Mapping[Address, object]) -> Iterator[list[Address]]:
    """Three and more instances of one block of which the same is to be told together; all others alone."""
    groups: dict[object, list[Address]] = {}
    for address, same in likeness.items():
        groups.setdefault((address.group, same), []).append(address)
    for found in groups.values():
        yield from [sorted(found, key=key_order)] if len(found) >= FOLD_FROM else ([address] for address in found)


def key_order(address: Address) -> tuple[Address, bool, int, str]:
    """Numbers as numbers: 2 comes before 10."""
    key = address.key or ""
    return (address.group, False, int(key), "") if key.isdecimal() else (address.group, True, 0, key)


def title(addresses: Sequence[Address]) -> str:
    """One name for instances of one block: ``sandbox.worker[0…99]``, ``sandbox.web["eu", "us"]``."""
    if len(addresses) == 1:
        return str(addresses[0])
    keys = [address.key or "" for address in sorted(addresses, key=key_order)]
    parts = list(_parts(keys))
    shown = parts if len(parts) <= _KEYS_SHOWN else [*parts[: _KEYS_SHOWN - 1], "…"]
    return f"{addresses[0].group}[{', '.join(shown)}]"


def _parts(keys: Sequence[str]) -> Iterator[str]:
    """Each key, quoted unless it is a number; three and more numbers in a row as the first and the last."""
    position = 0
    while position < len(keys):
        end = position + 1
        while end < len(keys) and _follows(keys[end - 1], keys[end]):
            end += 1
        if end - position >= _SHORTEST_RANGE:
            yield f"{keys[position]}…{keys[end - 1]}"
        else:
            yield from map(_key, keys[position:end])
        position = end


def _key(key: str) -> str:
    if key.isdecimal():
        return key
    return json.dumps(key if len(key) <= _LONGEST_KEY else f"{key[:_LONGEST_KEY]}…", ensure_ascii=False)


def _follows(key: str, other: str) -> bool:
    return key.isdecimal() and other.isdecimal() and int(other) == int(key) + 1
