"""Addresses: the one name of a resource in messages, flags, state and expressions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import total_ordering

KINDS = ("volume", "catalogue", "template", "setup", "sandbox", "step")
"""Kind words, in the order in which resources of them are usually made."""

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_ADDRESS = re.compile(rf"(?P<kind>[a-z]+)\.(?P<name>{NAME}(?:\.{NAME})?)(?P<key>\[\"(?:[^\"\\]|\\.)*\"\])?")


class AddressError(ValueError):
    """The text is not an address."""


@total_ordering
@dataclass(frozen=True, slots=True)
class Address:
    """``kind.name`` or ``kind.name["key"]``; a step's name is ``pipeline.step``.

    ``parse`` and ``str`` are inverses of each other. In order, a block comes before its instances.
    """

    kind: str
    name: str
    key: str | None = None

    def __lt__(self, other: Address) -> bool:
        return self._order < other._order

    @property
    def _order(self) -> tuple[str, str, bool, str]:
        return self.kind, self.name, self.key is not None, self.key or ""

    def __str__(self) -> str:
        base = f"{self.kind}.{self.name}"
        return base if self.key is None else f"{base}[{json.dumps(self.key, ensure_ascii=False)}]"

    @property
    def short(self) -> str:
        """What a person calls it among its kind: ``web``, ``worker[0]``."""
        return self.name if self.key is None else f"{self.name}[{self.key}]"

    @property
    def group(self) -> Address:
        """The address without its key: all instances of one block."""
        return self if self.key is None else Address(self.kind, self.name)

    def covers(self, other: Address) -> bool:
        """Whether a flag with this address means ``other``: equal, or the block it is an instance of."""
        return self == other or (self.key is None and self == other.group)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Raises AddressError, with a message for people, when ``text`` is not an address."""
        match = _ADDRESS.fullmatch(text.strip())
        if match is None:
            raise AddressError(f'{text!r} is not an address such as sandbox.web or sandbox.worker["0"]')
        kind, name, key = match["kind"], match["name"], match["key"]
        if kind not in KINDS:
            raise AddressError(f"{text!r} does not begin with a kind ({', '.join(KINDS)})")
        if (kind == "step") != ("." in name):
            raise AddressError(f"{text!r}: only a step's address has two names, as in step.pipeline.step")
        try:
            return cls(kind, name, None if key is None else json.loads(key[1:-1]))
        except json.JSONDecodeError as error:
            raise AddressError(f"{text!r}: the key is not a quoted string") from error


Moves = Mapping[Address, Address]
"""Addresses that resources had, and those that they have now; one without a key moves all instances of a block."""


def address_now(address: Address, moves: Moves) -> Address:
    """The address itself where nothing moves it; an instance's own move comes before its block's.

    What was renamed twice goes all the way, so that a state of before the first time is understood as well.
    """
    seen = {address}
    while (new := _moved_once(address, moves)) not in seen:
        seen.add(new)
        address = new
    return address


def circular_moves(moves: Moves) -> Iterator[Address]:
    """Old addresses that lead back to themselves: what is there would move at every apply."""
    keys = {address.key for both in moves.items() for address in both} | {None}
    for old in moves:
        instances = {replace(old, key=key) for key in keys} if old.key is None else {old}
        if any(_leads_back(address, moves) for address in instances):
            yield old


def _leads_back(address: Address, moves: Moves) -> bool:
    seen: set[Address] = set()
    now = address
    while now not in seen:
        seen.add(now)
        now = _moved_once(now, moves)
    return now == address and (len(seen) > 1 or moves.get(address) == address)


def _moved_once(address: Address, moves: Moves) -> Address:
    if address in moves:
        return moves[address]
    block = moves.get(address.group)
    return address if block is None or block.key is not None else replace(block, key=address.key)
