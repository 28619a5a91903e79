"""Overlays: what a file of one environment says over the manifest.

Mappings are merged key by key, as deep as both are mappings; everything else, lists too, is replaced as a whole; null
takes away what is there. Places follow the values, so that a message points into the file that a value comes from.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from nexus.manifest.source_map import Entry, Spot
from nexus.manifest.yaml_reader import Plain
from nexus.model.diagnostics import Diagnostic, error

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_NOT_OF_ONE: Final = ("include", "environments")
"""Keys that speak of all environments."""


def overlay_name(manifest: str, environment: str) -> str | None:
    """``nexus.prod.yaml`` for ``nexus.yaml`` and ``prod``; None for an environment that no file can be called by."""
    stem, dot, suffix = manifest.rpartition(".")
    return f"{stem}.{environment}{dot}{suffix}" if _NAME.fullmatch(environment) else None


def refusals(values: dict[str, Plain], spot: Spot, below: dict[str, Plain]) -> Iterator[Diagnostic]:
    """What an overlay may not say: what holds for all environments, and another name of the project."""
    for key, entry in (spot.entries or {}).items():
        if key in _NOT_OF_ONE:
            yield error(
                "overlay-key",
                f"{key} can't stand in the file of one environment",
                hint="write it into the manifest",
                range=entry.range,
            )
        elif key in ("apiVersion", "project") and values[key] != below.get(key):
            yield error("conflicting-files", f"{key} is not the same in all files", range=entry.range)


def overlaid(below: Plain, below_spot: Spot, over: Plain, over_spot: Spot) -> tuple[Plain, Spot]:
    """The value with the overlay's over it, and its places."""
    entries, theirs = below_spot.entries, over_spot.entries
    if not isinstance(below, dict) or not isinstance(over, dict) or entries is None or theirs is None:
        return over, over_spot
    values: dict[str, Plain] = dict(below)
    places = dict(entries)
    for key, value in over.items():
        if value is None:
            values.pop(key, None)
            places.pop(key, None)
        elif key in values and key in places:
            values[key], spot = overlaid(values[key], places[key].value, value, theirs[key].value)
            places[key] = _entry(places[key], theirs[key], spot)
        else:
            values[key], places[key] = value, theirs[key]
    return values, Spot(below_spot.file, below_spot.start, below_spot.end, entries=places)


def _entry(below: Entry, over: Entry, value: Spot) -> Entry:
    """A block that both files have stands where it was; a value that was replaced, where it is now."""
    key = below if value.entries is not None and value is not over.value else over
    return Entry(key.file, key.start, key.end, value)
