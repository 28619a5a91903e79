"""How busy the engine is as a whole: sandboxes at once and starts per second, sampled like sandboxes' metrics."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from nexus.local.sandboxes.metrics import INTERVAL

_KEPT = int(3600 / INTERVAL)


@dataclass(frozen=True, slots=True)
class TeamSample:
    """``start_rate`` counts sandboxes started per second since the sample before."""

    at: datetime
    concurrent: int
    start_rate: float


class TeamMetrics:
    """The samples of the last hour, oldest first."""

    def __init__(self, now: datetime) -> None:
        self._samples: deque[TeamSample] = deque(maxlen=_KEPT)
        self._last_at = now
        self._last_started = 0

    def add(self, now: datetime, concurrent: int, started: int) -> None:
        """``started`` counts all sandboxes since the daemon began."""
        seconds = (now - self._last_at).total_seconds()
        rate = (started - self._last_started) / seconds if seconds > 0 else 0.0
        self._last_at, self._last_started = now, started
        self._samples.append(TeamSample(now, concurrent, rate))

    def between(self, start: datetime | None, end: datetime | None) -> Sequence[TeamSample]:
        return [
            sample
            for sample in self._samples
            if (start is None or sample.at >= start) and (end is None or sample.at <= end)
        ]
