"""What operations took in earlier runs: for the order in which they start, and for how long is left. Nothing else.

A duration is learnt for the very operation (``install sandbox.web pip``) and for its like (``install sandbox pip``), so
that a new block is estimated by those there are. The newest run counts half, all before it the other half.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from nexus.model.changes import Operation

VERSION: Final = 1

_NEWEST: Final = 0.5
_KEPT: Final = 5_000
"""So many are kept, those that were learnt last."""
_PROMOTED: Final = "promoted"


@dataclass(frozen=True, slots=True)
class Durations:
    """Seconds by what took them; those that were learnt last come last."""

    seconds: Mapping[str, float] = field(default_factory=dict)

    def of(self, operation: Operation) -> float | None:
        """How long the operation took, or those like it; None where nothing is known."""
        exact, like = _keys(operation)
        return self.seconds.get(exact, self.seconds.get(like))

    def after(self, took: Iterable[tuple[Operation, float]]) -> Durations:
        """With what one more run has taught."""
        found: dict[str, list[float]] = {}
        for operation, seconds in took:
            for key in _keys(operation):
                found.setdefault(key, []).append(seconds)
        learnt = {key: item for key, item in self.seconds.items() if key not in found}
        for key, all_ in found.items():
            mean, before = sum(all_) / len(all_), self.seconds.get(key)
            learnt[key] = round(mean if before is None else _NEWEST * mean + (1 - _NEWEST) * before, 3)
        return Durations(dict(list(learnt.items())[-_KEPT:]))


def _keys(operation: Operation) -> tuple[str, str]:
    unit = operation.unit
    if operation.address.kind == "template" and unit:
        unit = _PROMOTED  # whichever build it is: to take one over is much faster than to make it
    exact = f"{operation.verb} {operation.address.group} {unit}".rstrip()
    return exact, f"{operation.verb} {operation.address.kind} {unit.partition('[')[0]}".rstrip()


def encode(durations: Durations) -> bytes:
    return (
        json.dumps({"version": VERSION, "seconds": durations.seconds}, indent=1, ensure_ascii=False) + "\n"
    ).encode()


def decode(content: bytes) -> Durations:
    """What a file holds; one that is damaged, or of another version, teaches nothing."""
    try:
        match json.loads(content):
            case {"version": 1, "seconds": dict(seconds)}:
                return Durations({str(key): float(item) for key, item in seconds.items() if _is_duration(item)})
    except (ValueError, RecursionError):
        pass
    return Durations()


def _is_duration(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 10**7
