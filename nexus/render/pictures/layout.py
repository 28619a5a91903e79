"""Where the boxes of a layered drawing go: what is needed stands left of what needs it.

The steps are the usual ones. Each box gets a column (its longest way from the left), edges that pass a column get a
bend there, boxes of a column are put in the order that crosses fewest edges, and then as near as may be to their
neighbours, without touching each other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

COLUMN_GAP: Final = 70.0
ROW_GAP: Final = 22.0
_BEND_HEIGHT: Final = 4.0
_SWEEPS: Final = 8


@dataclass(frozen=True, slots=True)
class Size:
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Box:
    """A placed box: its left upper corner, and its size."""

    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2


Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """``routes`` are the points of each edge, from the needed box to its dependant."""

    boxes: Mapping[str, Box]
    routes: Mapping[tuple[str, str], Sequence[Point]]
    width: float
    height: float


Edge = tuple[str, str]
_Bend = tuple[str, str, int]
_Item = str | _Bend


def lay_out(sizes: Mapping[str, Size], edges: Iterable[Edge]) -> Layout:
    """Boxes of ``sizes`` in an order, joined by ``edges`` without circles, pairs of a needed box and its dependant."""
    pairs = list(dict.fromkeys(edges))
    column = _columns(list(sizes), pairs)
    columns, links, ways = _with_bends(column, pairs)
    _untangle(columns, links)
    heights = {item: sizes[item].height if isinstance(item, str) else _BEND_HEIGHT for rank in columns for item in rank}
    tops = _tops(columns, links, heights)
    lefts, widths = _lefts(columns, sizes)
    boxes = {name: Box(lefts[column[name]], tops[name], size.width, size.height) for name, size in sizes.items()}
    routes = {pair: _route(way, boxes, tops, lefts, widths) for pair, way in ways.items()}
    return Layout(
        boxes=boxes,
        routes=routes,
        width=max((box.x + box.width for box in boxes.values()), default=0.0),
        height=max((tops[item] + heights[item] for item in tops), default=0.0),
    )


def _columns(names: Sequence[str], edges: Sequence[Edge]) -> dict[str, int]:
    """The longest way to each box; what needs nothing stands right before the first that needs it."""
    needs, needed_by = _neighbours(edges)
    waiting = {name: len(needs[name]) for name in names}
    ready = [name for name in names if not waiting[name]]
    column = dict.fromkeys(names, 0)
    for name in ready:
        for dependant in needed_by[name]:
            column[dependant] = max(column[dependant], column[name] + 1)
            waiting[dependant] -= 1
            if not waiting[dependant]:
                ready.append(dependant)
    for name in names:
        if not needs[name] and needed_by[name]:
            column[name] = min(column[dependant] for dependant in needed_by[name]) - 1
    return column


def _neighbours(edges: Iterable[Edge]) -> tuple[Mapping[str, list[str]], Mapping[str, list[str]]]:
    needs: dict[str, list[str]] = defaultdict(list)
    needed_by: dict[str, list[str]] = defaultdict(list)
    for needed, dependant in edges:
        needs[dependant].append(needed)
        needed_by[needed].append(dependant)
    return needs, needed_by


_Links = Mapping[_Item, Mapping[bool, list[_Item]]]
"""The neighbours of an item: under False those to its left, under True those to its right."""


def _with_bends(
    column: Mapping[str, int], edges: Sequence[Edge]
) -> tuple[list[list[_Item]], _Links, dict[Edge, list[_Item]]]:
    """The items of each column, their neighbours in the columns beside, and the items that each edge passes."""
    columns: list[list[_Item]] = [[] for _ in range(max(column.values(), default=-1) + 1)]
    for name, rank in column.items():
        columns[rank].append(name)
    links: dict[_Item, dict[bool, list[_Item]]] = defaultdict(lambda: {False: [], True: []})
    ways: dict[Edge, list[_Item]] = {}
    for needed, dependant in edges:
        way: list[_Item] = [needed]
        for rank in range(column[needed] + 1, column[dependant]):
            way.append((needed, dependant, rank))
            columns[rank].append(way[-1])
        way.append(dependant)
        ways[needed, dependant] = way
        for left, right in pairwise(way):
            links[left][True].append(right)
            links[right][False].append(left)
    return columns, links, ways


def _untangle(columns: list[list[_Item]], links: _Links) -> None:
    """Order each column by where its neighbours stand, from the left and from the right in turn."""
    for sweep in range(_SWEEPS):
        to_the_right = sweep % 2 == 0
        ranks = range(1, len(columns)) if to_the_right else range(len(columns) - 2, -1, -1)
        for rank in ranks:
            beside = columns[rank - 1 if to_the_right else rank + 1]
            place = {item: index for index, item in enumerate(beside)}
            own = {item: index for index, item in enumerate(columns[rank])}
            wanted = {item: _mean([place[o] for o in links[item][not to_the_right]], own[item]) for item in own}
            columns[rank].sort(key=lambda item: (wanted[item], own[item]))


def _mean(values: Sequence[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise


def _tops(columns: Sequence[Sequence[_Item]], links: _Links, heights: Mapping[_Item, float]) -> dict[_Item, float]:
    """How far down each item stands."""
    middle: dict[_Item, float] = {}
    for items in columns:
        top = 0.0
        for item in items:
            middle[item] = top + heights[item] / 2
            top += heights[item] + ROW_GAP
    for sweep in range(_SWEEPS):
        for items in columns if sweep % 2 == 0 else list(reversed(columns)):
            wanted = [
                _mean([middle[other] for side in (False, True) for other in links[item][side]], middle[item])
                for item in items
            ]
            middle.update(zip(items, _apart(wanted, [heights[item] for item in items]), strict=True))
    tops = {item: middle[item] - heights[item] / 2 for item in middle}
    first = min(tops.values(), default=0.0)
    return {item: top - first for item, top in tops.items()}


def _apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """The middles nearest to ``wanted`` (by least squares) that keep the order and the gaps.

    Without the room that each needs, it is the best rising sequence: neighbours that would overlap are pooled.
    """
    offsets = [0.0]
    for one, other in pairwise(heights):
        offsets.append(offsets[-1] + (one + other) / 2 + ROW_GAP)
    pools: list[tuple[float, int]] = []
    for want, offset in zip(wanted, offsets, strict=False):
        total, count = want - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            earlier, size = pools.pop()
            total, count = total + earlier, count + size
        pools.append((total, count))
    free = [total / count for total, count in pools for _ in range(count)]
    return [place + offset for place, offset in zip(free, offsets, strict=False)]


def _lefts(columns: Sequence[Sequence[_Item]], sizes: Mapping[str, Size]) -> tuple[list[float], list[float]]:
    """Where each column begins, and how wide it is."""
    widths = [max((sizes[item].width for item in items if isinstance(item, str)), default=0.0) for items in columns]
    lefts: list[float] = []
    left = 0.0
    for width in widths:
        lefts.append(left)
        left += width + COLUMN_GAP
    return lefts, widths


def _route(
    way: Sequence[_Item],
    boxes: Mapping[str, Box],
    tops: Mapping[_Item, float],
    lefts: Sequence[float],
    widths: Sequence[float],
) -> list[Point]:
    points: list[Point] = []
    for item in way:
        if isinstance(item, str):
            box = boxes[item]
            points.append((box.x + box.width if not points else box.x, box.middle))
        else:
            y = tops[item] + _BEND_HEIGHT / 2
            points += [(lefts[item[2]], y), (lefts[item[2]] + widths[item[2]], y)]
    return points
