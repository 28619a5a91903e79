"""Walks the operations of a plan: starts what may start, frees or skips what waits for it, and has no opinions.

The only room that causes change. Whatever happens, the state that it returns tells what is out there as far as known.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

from nexus.executor.calling import LOCK_LOST, Caller
from nexus.executor.clock import Clock, SystemClock, sleep_unless
from nexus.executor.pacing import Lane, Limits, Pace, Random, RetryBudget, lane_of
from nexus.executor.performing import Ending, Performer
from nexus.executor.results import ApplyResult, Check, Resolve, no_conditions
from nexus.executor.scheduling import Estimate, Schedule, usual_estimate
from nexus.kinds.base import SourceFiles
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, error
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    Event,
    InterruptReceived,
    OperationFinished,
    OperationProgress,
    OperationStarted,
    Outcome,
    Sink,
)
from nexus.model.state import State
from nexus.providers.base import Provider
from nexus.stores.base import Header, Journal, Lock
from nexus.stores.fold import Folding

_DONE = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
_WORST_FIRST = (Outcome.FAILED, Outcome.CANCELLED, Outcome.SKIPPED, Outcome.SUCCEEDED, Outcome.UNCHANGED)


class Executor:
    """Applies one plan. ``ids`` gives a new unique text at each call: uids and keys are made of them.

    ``lock`` is held by the caller; once it is lost, nothing new is begun.
    """

    def __init__(
        self,
        provider: Provider,
        journal: Journal,
        sink: Sink,
        *,
        ids: Callable[[], str],
        clock: Clock | None = None,
        chance: Random = random.random,
        limits: Limits | None = None,
        estimate: Estimate = usual_estimate,
        lock: Lock | None = None,
    ) -> None:
        self._provider = provider
        self._journal = journal
        self._sink = sink
        self._ids = ids
        self._clock = clock or SystemClock()
        self._chance = chance
        self._limits = limits or Limits()
        self._estimate = estimate
        self._lock = lock
        self._interrupts = 0
        self._walk: _Walk | None = None

    async def run(
        self, plan: Plan, state: State, resolve: Resolve, files: SourceFiles, check: Check = no_conditions
    ) -> ApplyResult:
        """Apply ``plan`` to what ``state`` tells. Failures are outcomes, never raised.

        Raises DiagnosticsError when nothing could be begun: the plan was made for another state, or is damaged, or the
        journal can't be written, or the lock was lost meanwhile. The journal is left for the caller to clear, by
        committing the state.
        """
        _check_base(plan, state)
        stopping = asyncio.Event()
        if self._interrupts:
            stopping.set()
        warnings = Diagnostics()
        pace = Pace(self._limits, self._clock)
        walk = _Walk(plan, self._sink, self._clock, pace, self._limits, self._estimate, stopping, warnings)
        caller = Caller(
            provider=self._provider,
            clock=self._clock,
            random=self._chance,
            limits=self._limits,
            pace=pace,
            budget=RetryBudget(self._limits.retry_budget),
            stopping=stopping,
            warn=walk.warn,
            lock=self._lock,
        )
        folding = Folding(state)
        performer = Performer(
            plan,
            folding,
            self._journal,
            caller,
            resolve=resolve,
            files=files,
            ids=self._ids,
            emit=walk.emit,
            check=check,
        )
        await caller.verify_lock()
        if plan.operations:
            await self._journal.start(Header.of(state))
        self._walk = walk
        try:
            await walk.through(performer)
        finally:
            self._walk = None
        return walk.result(folding.state())

    def interrupt(self) -> None:
        """First: nothing new starts, what is in flight ends. Second: what is in flight is cancelled.

        To be called in the event loop's thread, by a signal handler for example.
        """
        self._interrupts += 1
        if self._walk is not None:
            self._walk.interrupt(self._interrupts)


class _Walk:
    """One way through a plan."""

    def __init__(
        self,
        plan: Plan,
        sink: Sink,
        clock: Clock,
        pace: Pace,
        limits: Limits,
        estimate: Estimate,
        stopping: asyncio.Event,
        warnings: Diagnostics,
    ) -> None:
        self._plan = plan
        self._sink: Sink | None = sink
        self._clock = clock
        self._pace = pace
        self._limits = limits
        self._stopping = stopping
        self._diagnostics = warnings
        self._schedule = Schedule(plan.operations, estimate, lane_of)
        self._running: dict[str, asyncio.Task[None]] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._took: dict[str, float] = {}
        self._wake = asyncio.Event()
        self._interrupted = False
        self._halted = ""
        self._full = False
        self._freed = 0
        self._refused: dict[str, Ending] = {}
        self._bugs: list[Exception] = []
        self._started_at = clock.monotonic()
        self._seconds = 0.0

    async def through(self, performer: Performer) -> None:
        self.emit(ApplyStarted(operations=len(self._plan.operations), expected_seconds=self._seconds_left()))
        async with asyncio.TaskGroup() as group:
            while True:
                delay = self._start_what_may(group, performer)
                if not self._running and delay is None:
                    break
                await self._something(delay)
        self._give_up_the_rest()
        self._seconds = self._clock.monotonic() - self._started_at
        self.emit(
            ApplyFinished(
                seconds=self._seconds,
                outcomes=dict(Counter(self._outcomes.values())),
                changes=self._changes(),
                interrupted=self._interrupted,
            )
        )

    def interrupt(self, count: int) -> None:
        self._interrupted = True
        self.emit(InterruptReceived(count=count))
        self._stopping.set()
        self._wake.set()
        if count > 1:
            for task in self._running.values():
                task.cancel()

    def emit(self, event: Event) -> None:
        """A listener that fails is not listened to any more; the work goes on."""
        if self._sink is None:
            return
        try:
            self._sink(event)
        except Exception as bug:
            self._sink = None
            self._bugs.append(bug)

    def warn(self, diagnostic: Diagnostic) -> None:
        self._diagnostics.add(diagnostic)
        self.emit(DiagnosticRaised(diagnostic=diagnostic))

    def result(self, state: State) -> ApplyResult:
        self._diagnostics.extend(state.verify())
        return ApplyResult(
            state=state,
            outcomes=self._outcomes,
            diagnostics=tuple(self._diagnostics),
            interrupted=self._interrupted,
            seconds=self._seconds,
            bugs=tuple(self._bugs),
            took=self._took,
            lock_lost=self._halted == LOCK_LOST,
        )

    # ---- starting

    def _start_what_may(self, group: asyncio.TaskGroup, performer: Performer) -> float | None:
        """Seconds until a paced operation may start, when that is all it waits for."""
        if self._stopping.is_set():
            self._interrupted = self._interrupted or not self._halted
            return None
        while len(self._running) < self._limits.concurrency:
            closed = {Lane.START} if self._full else set()
            operation = self._schedule.take(self._pace.may_start() - closed)
            if operation is None:
                waiting = [lane for lane in self._schedule.waiting() if lane not in closed]
                return self._pace.wait(waiting) if waiting else None
            if (lane := self._schedule.lane(operation)) is not None:
                self._pace.take(lane)
            self._running[operation.id] = group.create_task(self._one(operation, performer))
        return None

    async def _something(self, delay: float | None) -> None:
        """Until an operation has ended, an interrupt has come, or the time for the next create has."""
        if delay is None:
            await self._wake.wait()
        else:
            await sleep_unless(self._clock, delay, self._wake)
        self._wake.clear()

    async def _one(self, operation: Operation, performer: Performer) -> None:
        started_at, freed = self._clock.monotonic(), self._freed
        self.emit(OperationStarted(operation=operation, expected_seconds=self._schedule.expected(operation)))
        try:
            ending = await performer.perform(operation)
        except asyncio.CancelledError:
            self._end(operation, Ending(Outcome.CANCELLED), started_at)
            raise
        if ending.limit and self._may_get_room(freed):
            self._put_back(operation, ending, freed)
        else:
            self._end(operation, ending, started_at)

    # ---- where the account is full

    def _may_get_room(self, freed: int) -> bool:
        """Whether the plan deletes sandboxes yet, or has deleted one meanwhile; ``freed`` is how many it had before."""
        return self._freed != freed or any(
            operation.verb is Verb.DELETE and operation.address.kind == "sandbox" and operation.id not in self._outcomes
            for operation in self._plan.operations
        )

    def _put_back(self, operation: Operation, ending: Ending, freed: int) -> None:
        """It waits for the next deletion. Should none come, ``ending`` is how it ended."""
        del self._running[operation.id]
        self._refused[operation.id] = ending
        self._full = self._freed == freed
        self._schedule.put_back(operation)
        self.emit(OperationProgress(operation=operation, message="waiting for room in the account"))
        self._wake.set()

    # ---- ending

    def _end(self, operation: Operation, ending: Ending, started_at: float) -> None:
        del self._running[operation.id]
        seconds = self._clock.monotonic() - started_at
        self._outcomes[operation.id] = ending.outcome
        if ending.outcome is Outcome.SUCCEEDED:
            self._took[operation.id] = seconds
        self._note(operation, ending)
        skipped = self._schedule.finish(operation, ending.outcome in _DONE)
        # What was done, and could not be written down, has not failed: what is wrong is told beside it.
        why = ending.diagnostics[:1] if ending.outcome is Outcome.FAILED else ()
        self.emit(
            OperationFinished(
                operation=operation,
                outcome=ending.outcome,
                seconds=seconds,
                diagnostic=next(iter(why), None),
                note=ending.note,
                remaining_seconds=self._seconds_left(),
                record=ending.record,
            )
        )
        for extra in ending.diagnostics[len(why) :]:
            self.emit(DiagnosticRaised(diagnostic=extra))
        ended = "was cancelled" if ending.outcome is Outcome.CANCELLED else "failed"
        self._skip(skipped, f"{operation.address} {ended}")
        self._wake.set()

    def _note(self, operation: Operation, ending: Ending) -> None:
        self._diagnostics.extend(ending.diagnostics)
        if ending.bug is not None:
            self._bugs.append(ending.bug)
        if ending.halt:
            self._halted = ending.halt
            self._stopping.set()
        if ending.limit:
            self._full = True
        elif operation.verb is Verb.DELETE and ending.outcome in _DONE:
            self._full = False
            self._freed += 1

    def _seconds_left(self) -> float:
        return self._schedule.seconds_left(self._limits.concurrency, self._limits.rate)

    def _give_up_the_rest(self) -> None:
        for operation in self._plan.operations:
            if operation.id in self._refused and operation.id not in self._outcomes:
                self._end_refused(operation, self._refused[operation.id])
        if self._halted:
            reason = self._halted
        elif self._interrupted:
            reason = "interrupted"
        else:
            reason = "the account's limit is reached"
        self._skip([op for op in self._schedule.remaining() for op in self._schedule.drop(op)], reason)

    def _end_refused(self, operation: Operation, ending: Ending) -> None:
        self._outcomes[operation.id] = ending.outcome
        self._note(operation, ending)
        diagnostic = next(iter(ending.diagnostics), None)
        self.emit(OperationFinished(operation=operation, outcome=ending.outcome, diagnostic=diagnostic))
        _, *dependants = self._schedule.drop(operation)
        self._skip(dependants, f"{operation.address} failed")

    def _skip(self, operations: Sequence[Operation], reason: str) -> None:
        for operation in operations:
            self._outcomes[operation.id] = Outcome.SKIPPED
            self.emit(OperationFinished(operation=operation, outcome=Outcome.SKIPPED, reason=reason))

    def _changes(self) -> dict[Address, Outcome]:
        """How each address's change ended: as the worst of its operations."""
        worst: dict[Address, Outcome] = {}
        for operation in self._plan.operations:
            outcome = self._outcomes[operation.id]
            known = worst.get(operation.address, outcome)
            worst[operation.address] = min(known, outcome, key=_WORST_FIRST.index)
        return worst


def _check_base(plan: Plan, state: State) -> None:
    if (plan.lineage, plan.base_serial) != (state.lineage, state.serial):
        raise DiagnosticsError(
            error(
                "plan-stale",
                "The plan was made for another state",
                detail=f"It was made for serial {plan.base_serial}; the state now has serial {state.serial}.",
                hint="make a new plan",
            )
        )
