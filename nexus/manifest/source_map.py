"""Where each value of a manifest stands: a tree beside the plain values, read only when a place is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from nexus.model.diagnostics import SourcePos, SourceRange

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes from the top of the manifest: ``("sandboxes", "web", "ports", "api")``."""


class Mark(Protocol):
    """A place as the parser gives it; both count from 0."""

    line: int
    column: int


@dataclass(slots=True)
class Spot:
    """One value: its stretch of a file and, of a collection, those of its parts.

    Aliases share the spot of their anchor, so the size of a map of places is that of the text.
    """

    file: str
    start: Mark
    end: Mark
    entries: dict[str, Entry] | None = None
    items: list[Spot] | None = None

    @property
    def range(self) -> SourceRange:
        return stretch(self.file, self.start, self.end)

    @property
    def is_collection(self) -> bool:
        return self.entries is not None or self.items is not None


@dataclass(slots=True)
class Entry:
    """One key of a mapping and the spot of its value. ``file`` is that of the key."""

    file: str
    start: Mark
    end: Mark
    value: Spot

    @property
    def range(self) -> SourceRange:
        return stretch(self.file, self.start, self.end)


def stretch(file: str, start: Mark, end: Mark) -> SourceRange:
    return SourceRange(file, SourcePos(start.line + 1, start.column + 1), SourcePos(end.line + 1, end.column + 1))


@dataclass(slots=True)
class SourceMap:
    """Places by path. Called with a path, it gives the place that a message about that value should point at."""

    root: Spot | None = None
    _last: tuple[Path, Spot | None] = field(default=((), None), repr=False)

    def __call__(self, path: Path) -> SourceRange | None:
        """The stretch of a scalar; of a collection, its key, where people look for it."""
        spot = self._spot(path)
        if spot is None:
            return self.nearest(path)
        return self.key(path) or spot.range if spot.is_collection else spot.range

    def value(self, path: Path) -> SourceRange | None:
        """The stretch of the value at ``path``."""
        spot = self._spot(path)
        return None if spot is None else spot.range

    def key(self, path: Path) -> SourceRange | None:
        """The stretch of the key under which the value at ``path`` stands; None for items of lists."""
        entry = self._entry(path)
        return None if entry is None else entry.range

    def nearest(self, path: Path) -> SourceRange | None:
        """The key, or the value, of the longest part of ``path`` that is written."""
        while path:
            path = path[:-1]
            spot = self._spot(path)
            if spot is not None:
                return self.key(path) or spot.range
        return None

    def _entry(self, path: Path) -> Entry | None:
        parent = self._spot(path[:-1]) if path else None
        if parent is None or parent.entries is None:
            return None
        return parent.entries.get(str(path[-1]))

    def _spot(self, path: Path) -> Spot | None:
        # Fields of one block are asked for one after the other: the block is found once.
        block, spot = self._last
        if spot is None or path[: len(block)] != block:
            block, spot = (), self.root
        for position in range(len(block), len(path)):
            spot = _part(spot, path[position])
            if spot is None:
                return None
            if position == 1:
                self._last = (path[:2], spot)
        return spot


def _part(spot: Spot | None, part: str | int) -> Spot | None:
    if spot is None:
        return None
    if spot.entries is not None:
        entry = spot.entries.get(str(part))
        return None if entry is None else entry.value
    if spot.items is not None and isinstance(part, int) and 0 <= part < len(spot.items):
        return spot.items[part]
    return None
