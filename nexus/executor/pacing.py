"""How fast: a token bucket for creates, and how long to wait before a call is made again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from nexus.executor.clock import Clock

Random = Callable[[], float]
"""A number from 0 up to 1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds an apply.

    ``concurrency`` counts operations at the same time. ``creates_per_second`` (None: no bound) is the account's, with
    bursts of up to one second's worth. ``attempts`` is how often one call is made at most; waits that the server asks
    for don't count, but are ``patience`` seconds together at most.
    """

    concurrency: int = 10
    creates_per_second: float | None = None
    attempts: int = 5
    patience: float = 600.0


class CreateRate:
    """A token bucket that the server can close for a while."""

    def __init__(self, per_second: float | None, clock: Clock) -> None:
        self._per_second = per_second
        self._clock = clock
        self._burst = max(1.0, per_second or 1.0)
        self._tokens = self._burst
        self._filled_at = clock.monotonic()
        self._closed_until = 0.0

    def wait(self) -> float:
        """Seconds until the next create may start; 0 when it may now."""
        now = self._clock.monotonic()
        closed = max(0.0, self._closed_until - now)
        if self._per_second is None:
            return closed
        self._fill(now)
        return max(closed, 0.0 if self._tokens >= 1.0 else (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        """A create starts now."""
        if self._per_second is not None:
            self._fill(self._clock.monotonic())
            self._tokens -= 1.0

    def close_for(self, seconds: float) -> None:
        """The server wants no creates for so long."""
        self._closed_until = max(self._closed_until, self._clock.monotonic() + seconds)

    def _fill(self, now: float) -> None:
        assert self._per_second is not None
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._per_second)
        # Waiting for the very moment must be enough, whatever the rounding of floats.
        if 1.0 - 1e-9 <= self._tokens < 1.0:
            self._tokens = 1.0
        self._filled_at = now


_FIRST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 30.0


def backoff(attempt: int, random: Random) -> float:
    """Seconds to wait after the ``attempt``-th failure (from 1): twice as long each time, half of it by chance."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1))
    return longest * (0.5 + random() / 2)
