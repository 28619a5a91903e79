"""A run along its time (Gantt): a row for each resource, a bar for each operation, and the chain that took longest.

The chain is found from the end: the operation that ended last, before it the one it needed that ended last, and so on.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Final

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.events import Outcome
from nexus.model.runs import OperationRun, Run
from nexus.render.pictures.svg import cut
from nexus.render.values import duration
from nexus.render.words import doing, done

_LABELS: Final = 250.0
_BARS: Final = 750.0
_ROW: Final = 22.0
_AXIS: Final = 26.0
_LEAST_BAR: Final = 2.5
_MOST_TICKS: Final = 9
_LONGEST_LABEL: Final = 33
_TONES: Final = {
    Verb.CREATE: "create",
    Verb.BUILD: "create",
    Verb.DELETE: "delete",
    Verb.RUN_STEP: "run",
    Verb.FORGET: "forget",
    Verb.ADOPT: "adopt",
    Verb.RESUME: "resume",
    Verb.EXTEND: "extend",
}


@dataclass(frozen=True, slots=True)
class Bar:
    """An operation on the line of time, in seconds since the first of them started."""

    operation: OperationRun
    start: float
    end: float
    critical: bool


def bars(run: Run) -> tuple[Bar, ...]:
    """What was started, in the order of starting. What the run's end cut off is drawn up to there."""
    started = [item for item in run.operations if item.started_at]
    if not started:
        return ()
    zero = min(_moment(item.started_at) for item in started)
    last = max(map(_end, started))
    chain = _longest_chain(started)

    def bar(item: OperationRun) -> Bar:
        end = _moment(item.ended_at) if item.ended_at else last
        return Bar(item, _moment(item.started_at) - zero, end - zero, item.id in chain)

    return tuple(map(bar, sorted(started, key=lambda item: item.started_at)))


def timeline(drawn: Sequence[Bar], name: str) -> str:
    """The drawing of a run's bars, which the keyboard reaches; each says in words what it is and how it ended."""
    rows = {address: number for number, address in enumerate(dict.fromkeys(bar.operation.address for bar in drawn))}
    whole = max((bar.end for bar in drawn), default=0.0) or 1.0
    width, height = _LABELS + _BARS + 30, _AXIS + len(rows) * _ROW + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph timeline" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" role="group" aria-label="{escape(name)}">',
        *_axis(whole, height),
        *(_label(address, number) for address, number in rows.items()),
        *(_bar(bar, rows[bar.operation.address], whole) for bar in drawn),
        "</svg>",
    ]
    return "".join(parts)


def words(operation: OperationRun) -> str:
    """What the operation does or did: ``installed pip packages``."""
    try:
        verb = Verb(operation.verb)
    except ValueError:  # of a later version of nexus
        return operation.verb
    known = Operation(id=operation.id, verb=verb, address=operation.address, unit=operation.unit)
    return done(known) if operation.outcome is Outcome.SUCCEEDED else doing(known)


def _longest_chain(started: Sequence[OperationRun]) -> frozenset[str]:
    by_id = {item.id: item for item in started}
    found: set[str] = set()
    item: OperationRun | None = max(started, key=_end)
    while item is not None and item.id not in found:
        found.add(item.id)
        item = max((by_id[need] for need in item.needs if need in by_id), key=_end, default=None)
    return frozenset(found)


def _end(item: OperationRun) -> float:
    return _moment(item.ended_at or item.started_at)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _axis(whole: float, height: float) -> Iterator[str]:
    """Lines at round times."""
    step = next(size for size in _round_sizes() if whole / size <= _MOST_TICKS)
    for number in range(int(whole / step) + 1):
        x = _x(number * step, whole)
        yield f'<line class="tick" x1="{x:.1f}" y1="{_AXIS - 6:g}" x2="{x:.1f}" y2="{height:g}"/>'
        yield f'<text class="faint" x="{x + 3:.1f}" y="14">{escape(duration(number * step))}</text>'


def _round_sizes() -> Iterator[float]:
    yield from (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 30)
    size = 60.0
    while True:
        yield from (size, 2 * size, 5 * size)
        size *= 10


def _x(seconds: float, whole: float) -> float:
    return _LABELS + seconds / whole * _BARS


def _label(address: Address, row: int) -> str:
    y = _AXIS + row * _ROW
    return f'<text x="4" y="{y + 15:.1f}">{escape(cut(str(address), _LONGEST_LABEL))}</text>'


def _bar(bar: Bar, row: int, whole: float) -> str:
    item = bar.operation
    x, y = _x(bar.start, whole), _AXIS + row * _ROW
    width = max(_LEAST_BAR, _x(bar.end, whole) - x)
    tone = next((tone for verb, tone in _TONES.items() if verb.value == item.verb), "update")
    ended = item.outcome.value if item.outcome is not None else "did not end"
    bad = "" if item.outcome in (Outcome.SUCCEEDED, Outcome.UNCHANGED) else " bad"
    spoken = f"{item.address}: {words(item)}, {duration(item.seconds)}, {ended}"
    sign = f'<text x="{x + width + 4:.1f}" y="{y + 15:.1f}">✗</text>' if bad else ""
    return (
        f'<g class="bar {tone}{" critical" if bar.critical else ""}{bad}" data-operation="{escape(item.id)}" '
        f'tabindex="0" role="button" aria-label="{escape(spoken)}"><title>{escape(spoken)}</title>'
        f'<rect x="{x:.1f}" y="{y + 3:.1f}" width="{width:.1f}" height="{_ROW - 6:g}" rx="3"/>{sign}</g>'
    )
