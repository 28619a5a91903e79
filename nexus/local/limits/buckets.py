"""Token buckets: so many requests in so many seconds, refilled evenly."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nexus.local.clock import Clock
from nexus.local.limits.model import Rate


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a bucket said to one request. ``wait`` is in whole seconds: when the next one may come, 0 for now."""

    granted: bool
    limit: int
    remaining: int
    reset: int
    wait: int

    def headers(self) -> dict[str, str]:
        """As E2B tells clients; ``Retry-After`` only to those who have to wait."""
        told = {
            "RateLimit-Limit": str(self.limit),
            "RateLimit-Remaining": str(self.remaining),
            "RateLimit-Reset": str(self.reset),
        }
        return told if self.granted else {**told, "Retry-After": str(self.wait)}


class TokenBucket:
    """Full at first; holds ``rate.requests`` at most."""

    def __init__(self, rate: Rate, clock: Clock) -> None:
        self._rate = rate
        self._clock = clock
        self._tokens = float(rate.requests)
        self._at = clock.now()

    def take(self) -> Allowance:
        """One request more, if there is room for it."""
        self._refill()
        granted = self._tokens >= 1
        if granted:
            self._tokens -= 1
        per_second = self._rate.requests / self._rate.seconds
        return Allowance(
            granted=granted,
            limit=self._rate.requests,
            remaining=int(self._tokens),
            reset=math.ceil((self._rate.requests - self._tokens) / per_second),
            wait=0 if granted else max(1, math.ceil((1 - self._tokens) / per_second)),
        )

    def _refill(self) -> None:
        now = self._clock.now()
        # A clock that was set back gives nothing.
        passed = max(0.0, (now - self._at).total_seconds())
        self._tokens = min(self._rate.requests, self._tokens + passed * self._rate.requests / self._rate.seconds)
        self._at = now
