"""Samples of what sandboxes use: taken every few seconds, kept in memory for an hour."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, TypeVar

from nexus.local.clock import Clock
from nexus.local.isolation.base import Machine, Usage

INTERVAL = 5.0
_KEPT = int(3600 / INTERVAL)
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sample:
    at: datetime
    usage: Usage


class SampleSeries:
    """The latest samples of one sandbox, oldest first."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_KEPT)

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def latest(self) -> Sample | None:
        return self._samples[-1] if self._samples else None

    def between(self, start: datetime | None, end: datetime | None) -> Sequence[Sample]:
        return [
            sample
            for sample in self._samples
            if (start is None or sample.at >= start) and (end is None or sample.at <= end)
        ]


class Sampled(Protocol):
    """A running sandbox, as the sampler sees it."""

    @property
    def machine(self) -> Machine: ...

    @property
    def samples(self) -> SampleSeries: ...


SampledT = TypeVar("SampledT", bound=Sampled)


class Sampler:
    """Walks all running sandboxes once an interval."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def sample(self, sandboxes: Iterable[SampledT]) -> list[SampledT]:
        """Take one sample of each; returns those that gave none, because their machine is busy or gone."""
        silent = []
        for sandbox in list(sandboxes):
            try:
                usage = await sandbox.machine.usage()
            except Exception as error:
                _log.debug("no sample of a machine: %s", error)
                silent.append(sandbox)
                continue
            sandbox.samples.add(Sample(self._clock.now(), usage))
        return silent
