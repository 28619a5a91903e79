"""How fast: token buckets, one for each class of limit, and how long to wait before a call is made again."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nexus.executor.clock import Clock
from nexus.model.changes import Operation, Verb

Random = Callable[[], float]
"""A number from 0 up to 1."""


class Lane(StrEnum):
    """A class of limit that an operation falls under."""

    START = "start"  # sandboxes that begin to run: bounded in rate and in number
    API = "api"  # the other calls of E2B's API
    INSIDE = "inside"  # calls into sandboxes


_INSIDE: Final = frozenset(
    {
        Verb.SET_ENV,
        Verb.INSTALL,
        Verb.UPLOAD,
        Verb.RUN_COMMAND,
        Verb.START,
        Verb.AWAIT_READY,
        Verb.RUN_STEP,
    }
)
_RUN: Final = ("sandbox", "setup")
"""Kinds that are made by running a sandbox."""
_NO_CALL: Final = frozenset({Verb.FORGET, Verb.RECORD, Verb.CHECK, Verb.REFRESH})


def lane_of(operation: Operation) -> Lane | None:
    """The limit that bounds the operation; None for what calls nobody."""
    if operation.verb in _NO_CALL:
        return None
    if operation.verb in _INSIDE:
        return Lane.INSIDE
    starts = operation.verb in (Verb.CREATE, Verb.RESUME, Verb.BUILD) and operation.address.kind in _RUN
    return Lane.START if starts else Lane.API


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds an apply.

    ``concurrency`` counts operations at the same time. The rates are the account's (None: no bound), with bursts of up
    to one second's worth. ``attempts`` is how often one call is made at most, and ``retry_budget`` how many calls an
    apply makes again in all: where everything fails, it ends soon. Waits that the server asks for count as neither, but
    are ``patience`` seconds for one call at most.
    """

    concurrency: int = 10
    creates_per_second: float | None = None
    api_requests_per_second: float | None = None
    sandbox_requests_per_second: float | None = None
    attempts: int = 5
    retry_budget: int = 500
    patience: float = 600.0

    def rate(self, lane: Lane) -> float | None:
        match lane:
            case Lane.START:
                return self.creates_per_second
            case Lane.API:
                return self.api_requests_per_second
            case Lane.INSIDE:
                return self.sandbox_requests_per_second


class Pace:
    """A token bucket for each lane, which the server can close for a while."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._buckets = {lane: _Bucket(limits.rate(lane), clock) for lane in Lane}

    def may_start(self) -> frozenset[Lane]:
        """The lanes in which an operation may start now."""
        return frozenset(lane for lane, bucket in self._buckets.items() if bucket.wait() <= 0.0)

    def wait(self, lanes: Iterable[Lane]) -> float:
        """Seconds until something may start in the first of these lanes that opens."""
        return min(self._buckets[lane].wait() for lane in lanes)

    def take(self, lane: Lane) -> None:
        """An operation starts now."""
        self._buckets[lane].take()

    def close_for(self, lane: Lane, seconds: float) -> None:
        """The server wants nothing of this kind for so long."""
        self._buckets[lane].close_for(seconds)


class _Bucket:
    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._burst = max(1.0, per_second or 1.0)
        self._tokens = self._burst
        self._filled_at = clock.monotonic()
        self._closed_until = 0.0

    def wait(self) -> float:
        now = self._clock.monotonic()
        closed = max(0.0, self._closed_until - now)
        if self._per_second is None:
            return closed
        self._fill(now)
        return max(closed, 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        if self._per_second is not None:
            self._fill(self._clock.monotonic())
            self._tokens -= 1.0

    def close_for(self, seconds: float) -> None:
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def _fill(self, now: float) -> None:
        assert self._per_second is not None
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        # Waiting for the very moment must be enough, whatever the rounding of floats.
        if 1.0 - 1e-9 <= self._tokens < 1.0:
            self._tokens = 1.0
        self._filled_at = now


class RetryBudget:
    """How many calls may still be made again, by all operations of an apply together."""

    def __init__(self, count: int) -> None:
        self._left = count

    def take(self) -> bool:
        """Whether there was one left."""
        self._left -= 1
        return self._left >= 0


_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0


def backoff(attempt: int, random: Random) -> float:
    """Seconds to wait after the ``attempt``-th failure (from 1): twice as long each time, half of it by chance."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
    return longest * (0.5 + random() / 2)
