"""Which values of a call are secret: those that its concealed attributes only keep a fingerprint of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum

from nexus.model.values import Fingerprint, Value, has_sensitive
from nexus.providers.base import Call


def secrets_of(call: Call) -> Iterator[str]:
    """Revealed texts that must not be seen, found by walking attributes and spec side by side."""
    if has_sensitive(dict(call.attributes)):
        yield from _beside(dict(call.attributes), call.spec)


def _beside(concealed: Value, revealed: object) -> Iterator[str]:
    match concealed:
        case Fingerprint():
            yield from _texts(revealed)
        case dict():
            for name, item in concealed.items():
                if has_sensitive(item):
                    # Where a spec keeps something under another name than the attributes, all that is there counts.
                    yield from _beside(item, _part(revealed, name))
        case list():
            parts = revealed if isinstance(revealed, (list, tuple)) and len(revealed) == len(concealed) else None
            for index, item in enumerate(concealed):
                yield from _beside(item, parts[index] if parts is not None else revealed)


def _part(revealed: object, name: str) -> object:
    if isinstance(revealed, Mapping):
        return revealed.get(name)
    return getattr(revealed, name, revealed)


def _texts(revealed: object) -> Iterator[str]:
    match revealed:
        case Enum():
            return
        case str():
            yield revealed
        case Mapping():
            for item in revealed.values():
                yield from _texts(item)
        case list() | tuple():
            for item in revealed:
                yield from _texts(item)
        case _ if is_dataclass(revealed):
            for entry in fields(revealed):
                yield from _texts(getattr(revealed, entry.name))
