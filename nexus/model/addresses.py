"""Addresses: the one name of a resource in messages, flags, state and expressions."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

KINDS = ("volume", "catalogue", "template", "setup", "sandbox", "step")
"""Kind words, in the order in which resources of them are usually made."""

NAME = r"[A-Za-z_][A-Za-z0-9_-]*"
_ADDRESS = re.compile(rf"(?P<kind>[a-z]+)\.(?P<name>{NAME}(?:\.{NAME})?)(?P<key>\[\"(?:[^\"\\]|\\.)*\"\])?")


class AddressError(ValueError):
    """The text is not an address."""


@dataclass(frozen=True, slots=True, order=True)
class Address:
    """``kind.name`` or ``kind.name["key"]``; a step's name is ``pipeline.step``.

    ``parse`` and ``str`` are inverses of each other.
    """

    kind: str
    name: str
    key: str | None = None

    def __str__(self) -> str:
        base = f"{self.kind}.{self.name}"
        return base if self.key is None else f"{base}[{json.dumps(self.key, ensure_ascii=False)}]"

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
