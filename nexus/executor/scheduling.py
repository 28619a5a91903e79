"""Which operation may start next. Pure: it knows what needs what, and nothing of calls or time.

Of the operations that may start, the one with the longest way behind it goes first. Operations on one address never
overlap, whether the plan says so or not.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from typing import Final

from nexus.executor.pacing import Lane
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import DiagnosticsError, error

Estimate = Callable[[Operation], float]
"""How many seconds an operation will take, roughly."""

USUAL_SECONDS: Final[Mapping[Verb, float]] = {
    Verb.CREATE: 3.0,
    Verb.BUILD: 60.0,
    Verb.INSTALL: 15.0,
    Verb.UPLOAD: 2.0,
    Verb.RUN_COMMAND: 5.0,
    Verb.AWAIT_READY: 5.0,
    Verb.RUN_STEP: 10.0,
    Verb.FORGET: 0.0,
    Verb.RECORD: 0.0,
    Verb.CHECK: 0.0,
}


def usual_estimate(operation: Operation) -> float:
    """What operations take as a rule, where nothing was learnt yet."""
    builds = operation.verb is Verb.CREATE and operation.address.kind in ("template", "catalogue")
    return USUAL_SECONDS[Verb.BUILD] if builds else USUAL_SECONDS.get(operation.verb, 1.0)


Entry = tuple[float, int, str]


class Schedule:
    """The operations of one plan that are still to be done.

    Each waits in a lane, because there are times when none of a lane may start; those without one always may. Raises
    DiagnosticsError when the operations are not in an order that respects ``needs``: then it is no plan of ours.
    """

    def __init__(
        self, operations: Sequence[Operation], estimate: Estimate, lane_of: Callable[[Operation], Lane | None]
    ) -> None:
        self._operations = {operation.id: operation for operation in operations}
        self._order = {operation.id: index for index, operation in enumerate(operations)}
        self._dependants: dict[str, list[str]] = defaultdict(list)
        self._missing = {operation.id: len(set(operation.needs)) for operation in operations}
        _check(operations)
        for operation in operations:
            for need in set(operation.needs):
                self._dependants[need].append(operation.id)
        self._seconds = {operation.id: estimate(operation) for operation in operations}
        self._way = self._ways(operations)
        self._work = sum(self._seconds.values())
        self._open = dict.fromkeys(self._operations)
        self._busy: set[Address] = set()
        self._held: dict[Address, list[str]] = defaultdict(list)
        self._lane = {operation.id: lane_of(operation) for operation in operations}
        self._to_start = Counter(self._lane.values())
        self._lanes: dict[Lane | None, list[Entry]] = {lane: [] for lane in self._to_start}
        self._running: dict[str, None] = {}
        for operation_id, missing in self._missing.items():
            if not missing:
                self._push(operation_id)

    def take(self, lanes: Container[Lane]) -> Operation | None:
        """The next operation that may start now, ``lanes`` being open; it counts as running from then on."""
        while (operation_id := self._pop(lanes)) is not None:
            operation = self._operations[operation_id]
            if operation_id not in self._open:
                continue
            if operation.address in self._busy:
                self._held[operation.address].append(operation_id)
                continue
            self._close(operation_id)
            self._busy.add(operation.address)
            self._running[operation_id] = None
            return operation
        return None

    def lane(self, operation: Operation) -> Lane | None:
        return self._lane[operation.id]

    def waiting(self) -> list[Lane]:
        """The lanes in which an operation waits for nothing but its turn."""
        return [lane for lane in self._lanes if lane is not None and self._first(lane) is not None]

    def expected(self, operation: Operation) -> float:
        """Seconds that the operation is thought to take."""
        return self._seconds[operation.id]

    def seconds_left(self, concurrency: int, rate: Callable[[Lane], float | None]) -> float:
        """How long the rest will take, roughly: its longest way, its work over all hands, and its lanes' rates."""
        ready = (first for lane in self._lanes if (first := self._first(lane)) is not None)
        longest = max((self._way[operation_id] for operation_id in (*ready, *self._running)), default=0.0)
        paced = ((self._to_start[lane], rate(lane)) for lane in self._lanes if lane is not None)
        slowest = max((count / limit for count, limit in paced if limit), default=0.0)
        return max(longest, self._work / concurrency, slowest)

    def finish(self, operation: Operation, succeeded: bool) -> list[Operation]:
        """Note the end of a running operation; those that can't be done any more because of it, in plan order."""
        self._busy.discard(operation.address)
        if operation.id in self._running:
            del self._running[operation.id]
            self._work -= self._seconds[operation.id]
        for held in self._held.pop(operation.address, ()):
            self._push(held)
        if not succeeded:
            return self._drop_dependants(operation.id)
        for dependant in self._dependants[operation.id]:
            self._missing[dependant] -= 1
            if not self._missing[dependant]:
                self._push(dependant)
        return []

    def put_back(self, operation: Operation) -> None:
        """What was begun in vain may start again; nothing that waits for it is freed, or lost."""
        self._busy.discard(operation.address)
        del self._running[operation.id]
        self._open[operation.id] = None
        self._to_start[self._lane[operation.id]] += 1
        for waiting in (operation.id, *self._held.pop(operation.address, ())):
            self._push(waiting)

    def drop(self, operation: Operation) -> list[Operation]:
        """Give up one that has not started; it and those that can't be done any more because of it."""
        if operation.id not in self._open:
            return []
        self._give_up(operation.id)
        return [operation, *self._drop_dependants(operation.id)]

    def remaining(self) -> Iterator[Operation]:
        """Operations that have not started, in plan order."""
        return (self._operations[operation_id] for operation_id in tuple(self._open))

    def _drop_dependants(self, operation_id: str) -> list[Operation]:
        dropped: list[Operation] = []
        front = [operation_id]
        while front:
            for dependant in self._dependants[front.pop()]:
                if dependant in self._open:
                    self._give_up(dependant)
                    dropped.append(self._operations[dependant])
                    front.append(dependant)
        return sorted(dropped, key=lambda operation: self._order[operation.id])

    def _close(self, operation_id: str) -> None:
        """It is not to be started any more."""
        del self._open[operation_id]
        self._to_start[self._lane[operation_id]] -= 1

    def _give_up(self, operation_id: str) -> None:
        self._close(operation_id)
        self._work -= self._seconds[operation_id]

    def _push(self, operation_id: str) -> None:
        lane = self._lanes[self._lane[operation_id]]
        heapq.heappush(lane, (-self._way[operation_id], self._order[operation_id], operation_id))

    def _first(self, lane: Lane | None) -> str | None:
        """What would start next in a lane."""
        entries = self._lanes[lane]
        while entries and entries[0][2] not in self._open:
            heapq.heappop(entries)
        return entries[0][2] if entries else None

    def _pop(self, lanes: Container[Lane]) -> str | None:
        open_ = [entries for lane, entries in self._lanes.items() if entries and (lane is None or lane in lanes)]
        return heapq.heappop(min(open_, key=lambda entries: entries[0]))[2] if open_ else None

    def _ways(self, operations: Sequence[Operation]) -> dict[str, float]:
        """Seconds from the start of each operation to the end of everything that waits for it."""
        ways: dict[str, float] = {}
        for operation in reversed(operations):
            after = max((ways[dependant] for dependant in self._dependants[operation.id]), default=0.0)
            ways[operation.id] = self._seconds[operation.id] + after
        return ways


def _check(operations: Sequence[Operation]) -> None:
    seen: set[str] = set()
    for operation in operations:
        unknown = next((need for need in operation.needs if need not in seen), None)
        if unknown is not None or operation.id in seen:
            what = f"needs {unknown}, which is not before it" if unknown else "is there twice"
            detail = f"Operation {operation} {what}."
            raise DiagnosticsError(
                error("plan-damaged", "The plan contradicts itself", detail=detail, hint="make a new plan")
            )
        seen.add(operation.id)
