"""One call until it is made, or known not to be: which failures are tried again, and how a lost create is found."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from nexus.executor.clock import Clock, sleep_unless, within
from nexus.executor.pacing import Limits, Pace, Random, RetryBudget, backoff, lane_of
from nexus.kinds.durations import format_duration
from nexus.model.changes import Operation, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error, warning
from nexus.model.observation import Presence
from nexus.model.state import Intent, ResourceRecord, State
from nexus.planning.limits import limit_name
from nexus.providers.base import Call, Certainty, Gone, LimitReached, Provider, ProviderError, Result, TooFast
from nexus.providers.recording import record_after
from nexus.stores.base import Lock

_NOT_TO_BE_REPEATED: Final = (Verb.RUN_COMMAND, Verb.RUN_STEP)
"""Verbs that may have had half of their effect: nobody but the user knows whether they may run twice."""


LOCK_LOST: Final = "the lock was lost"


class CallFailedError(Exception):
    """No further attempt will be made. ``in_doubt``: one of them may have had its effect nevertheless.

    ``halt`` says why nothing else may be begun either, "" where it may.
    """

    def __init__(self, failure: ProviderError, in_doubt: bool, halt: str = "") -> None:
        super().__init__(str(failure))
        self.failure = failure
        self.in_doubt = in_doubt
        self.halt = halt


@dataclass(slots=True)
class _Tries:
    """What has been tried so far. ``asked_for`` are the seconds that the server has made us wait."""

    failures: int = 0
    refusals: int = 0
    asked_for: float = 0.0
    in_doubt: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """Makes calls for one apply. ``stopping`` is set when nothing new may be begun any more."""

    provider: Provider
    clock: Clock
    random: Random
    limits: Limits
    pace: Pace
    budget: RetryBudget
    stopping: asyncio.Event
    warn: Callable[[Diagnostic], None]
    lock: Lock | None = None

    async def verify_lock(self) -> None:
        """To be asked before every effect. Raises DiagnosticsError when another run may be at work instead of us."""
        if self.lock is not None:
            await self.lock.verify()

    async def make_in_time(self, call: Call, intent: Intent, state: Callable[[], State]) -> Result:
        """The same within the operation's own limit; when that is over, nobody knows what was done."""
        limit = call.operation.limit
        if limit is None:
            return await self.make(call, intent, state)
        try:
            return await within(self.clock, limit, self.make(call, intent, state))
        except TimeoutError:
            failure = ProviderError(_too_slow(call.operation), Certainty.UNKNOWN)
            raise CallFailedError(failure, in_doubt=True) from None

    async def has_ended(self, record: ResourceRecord, state: State) -> bool:
        """Whether an object is known to be gone; False where that can't be seen."""
        alone = replace(state, resources={record.address: record}, deposed=(), pending=())
        try:
            seen = (await self.provider.observe(alone, {})).records.get(record.uid)
        except ProviderError:
            return False
        return seen is not None and seen.presence in (Presence.GONE, Presence.EXPIRED)

    async def make(self, call: Call, intent: Intent, state: Callable[[], State]) -> Result:
        """Raises CallFailedError when it can't be made. ``state`` tells the provider whose objects to look for."""
        tries = _Tries()
        creates = call.operation.verb is Verb.CREATE
        while True:
            try:
                result = await self.provider.execute(call)
            except ProviderError as failure:
                if failure.certainty is Certainty.UNKNOWN:
                    tries.in_doubt = True
                    if creates and (found := await self._find(call, intent, state())) is not None:
                        return found
                delay = self._delay(call, failure, tries)
                if delay is None or await self._pause(call, failure, delay):
                    raise CallFailedError(failure, tries.in_doubt) from failure
                try:
                    await self.verify_lock()
                except DiagnosticsError as lost:
                    why = ProviderError(lost.diagnostics[0], Certainty.PERMANENT)
                    raise CallFailedError(why, tries.in_doubt, LOCK_LOST) from lost
            else:
                if creates and tries.in_doubt and result.record is not None:
                    await self._keep_only(result.record.id, intent, state())
                return result

    def _delay(self, call: Call, failure: ProviderError, tries: _Tries) -> float | None:
        """Seconds until the next attempt; None when there is to be none."""
        verb = call.operation.verb
        if isinstance(failure, Gone | LimitReached):
            return None
        in_half = verb in _NOT_TO_BE_REPEATED and failure.certainty is Certainty.UNKNOWN
        if failure.certainty is Certainty.PERMANENT or in_half:
            return None
        if isinstance(failure, TooFast) or failure.retry_after is not None:
            return self._asked_to_wait(call, failure, tries)
        tries.failures += 1
        if tries.failures >= self.limits.attempts or not self.budget.take():
            return None
        return backoff(tries.failures, self.random)

    def _asked_to_wait(self, call: Call, failure: ProviderError, tries: _Tries) -> float | None:
        """As long as the server says, or ever longer where it does not say; others of the lane wait too."""
        tries.refusals += 1
        seconds = failure.retry_after if failure.retry_after is not None else backoff(tries.refusals, self.random)
        tries.asked_for += seconds
        if (lane := lane_of(call.operation)) is not None:
            self.pace.close_for(lane, seconds)
        return seconds if tries.asked_for <= self.limits.patience else None

    async def _pause(self, call: Call, failure: ProviderError, seconds: float) -> bool:
        """Wait before the next attempt; whether there is to be none because of an interrupt."""
        call.report.progress(f"{failure.diagnostic.summary}; trying again in {seconds:.0f} s")
        return await sleep_unless(self.clock, seconds, self.stopping)

    async def _find(self, call: Call, intent: Intent, state: State) -> Result | None:
        """What a create whose answer was lost has made after all."""
        try:
            found = (await self.provider.find(state, [intent])).get(intent.key, ())
        except ProviderError:
            return None
        whole = next((item for item in found if item.complete), None)
        if whole is None:
            return None
        record = record_after(
            call, id=whole.id, outputs=whole.outputs, created_at=whole.created_at, expires_at=whole.expires_at
        )
        await self._keep_only(whole.id, intent, state)
        return Result(record)

    async def _keep_only(self, kept: str, intent: Intent, state: State) -> None:
        """Remove what an attempt in doubt has made besides; what is missed here ends with its lease."""
        try:
            found = (await self.provider.find(state, [intent])).get(intent.key, ())
            for double in (item for item in found if item.id != kept):
                await self.provider.discard(intent, double)
                self.warn(double_removed(intent, double.id))
        except ProviderError as failure:
            self.warn(
                warning(
                    "double-not-checked",
                    "It could not be seen whether a resource was made twice",
                    detail=f"A create of {intent.address} was repeated; looking for a double failed: {failure}.",
                    address=str(intent.address),
                )
            )


def _too_slow(operation: Operation) -> Diagnostic:
    name, limit = limit_name(operation.verb), format_duration(operation.limit or 0)
    what = f"{operation.verb} {operation.unit}".strip()
    return error(
        "operation-timeout",
        f"An operation took longer than {name} allows ({limit})",
        detail=f"{what} was given up; part of it may be done.",
        hint=f"allow more with {name}; the next apply finds out what was done and goes on",
        address=str(operation.address),
    )


def double_removed(intent: Intent, id: str) -> Diagnostic:
    return warning(
        "double-removed",
        "A resource that was made twice was removed once",
        detail=f"The answer to a create of {intent.address} was lost and the create repeated; {id} was one too many.",
        address=str(intent.address),
    )
