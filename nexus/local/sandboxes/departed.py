"""What is still told of sandboxes that were killed: their log and their metrics, for an hour, in memory.

Whoever follows a log or metrics asks once more after the end, and wants the last of it rather than an error.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from nexus.local.clock import Clock
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import LiveSandbox
from nexus.local.sandboxes.logbook import LogEntry, LogQuery
from nexus.local.sandboxes.logs import read_logs
from nexus.local.sandboxes.metrics import SampleSeries

_KEPT = 100
_KEPT_FOR = timedelta(hours=1)
# A kill must not wait for a machine that is too busy to answer.
_PATIENCE = 0.5


@dataclass(frozen=True, slots=True)
class Remains:
    """Of one sandbox that is gone."""

    until: datetime
    entries: Sequence[LogEntry]
    samples: SampleSeries


class Departed:
    """The remains of the sandboxes killed last, by id."""

    def __init__(self, booter: Booter, clock: Clock) -> None:
        self._booter = booter
        self._clock = clock
        self._remains: OrderedDict[str, Remains] = OrderedDict()

    async def remember(self, live: LiveSandbox) -> None:
        """Keep what ``live``, which is about to be killed, has to tell."""
        now = self._clock.now()
        live.logbook.note(now, "Sandbox killed")
        # At once, so that nobody who asks meanwhile is told that there never was such a sandbox.
        self._remains[live.id] = Remains(now + _KEPT_FOR, live.logbook.entries(), live.samples)
        while len(self._remains) > _KEPT:
            self._remains.popitem(last=False)
        entries = await read_logs(live, self._booter, LogQuery(), patience=_PATIENCE)
        self._remains[live.id] = Remains(now + _KEPT_FOR, entries, live.samples)

    def find(self, sandbox_id: str) -> Remains | None:
        """None for a sandbox that never was, or that has been gone for long."""
        remains = self._remains.get(sandbox_id.partition("-")[0])
        return remains if remains is not None and remains.until > self._clock.now() else None
