"""When an environment is looked at again. Pure: times in seconds, chance handed in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

JITTER: Final = 0.1
"""The part of a pause by which it may be shorter or longer, so that a hundred environments don't march in step."""

LONGEST_BACKOFF: Final = 1800.0
_MOST_DOUBLINGS: Final = 20


@dataclass(frozen=True, slots=True)
class Schedule:
    """The rhythm of one environment: ``interval`` while all goes well, twice as long after each failure in a row."""

    interval: float
    jitter: float = JITTER
    longest: float = LONGEST_BACKOFF

    def pause(self, failures: int, chance: float) -> float:
        """Seconds until the next look, after so many failures in a row. ``chance`` is from 0 up to 1.

        Jitter only shortens the pause where all goes well: one interval is a promise.
        """
        doubled = self.interval * float(1 << min(failures, _MOST_DOUBLINGS))
        bounded = max(self.interval, min(doubled, self.longest))
        early = self.jitter * chance
        late = self.jitter * (1 - chance) if failures else 0.0
        return bounded * (1 - early + late)
