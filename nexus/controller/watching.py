"""Watches one project's source, and wakes those who keep its environments when its files have changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from nexus.controller.faults import OnBug, bug
from nexus.controller.sources import Revision, Source
from nexus.model.diagnostics import Diagnostic, DiagnosticsError


@dataclass(frozen=True, slots=True)
class Seen:
    """The files as they were last had; ``problems`` say why they could not be had anew."""

    revision: Revision | None = None
    problems: tuple[Diagnostic, ...] = ()


class Watch:
    """One source. ``pause`` is in seconds, where the source leaves it to others; ``looked`` is told how a look went."""

    def __init__(self, source: Source, pause: float, looked: Callable[[bool], None], on_bug: OnBug) -> None:
        self._source = source
        self._pause = pause if source.pause is None else source.pause
        self._looked = looked
        self._on_bug = on_bug
        self._wake: list[Callable[[], None]] = []
        self.seen = Seen()

    def on_change(self, wake: Callable[[], None]) -> None:
        """``wake`` is called whenever there is another revision, or another reason why there is none."""
        self._wake.append(wake)

    async def look(self) -> Seen:
        """Ask the source once."""
        before = self.seen
        try:
            self.seen = Seen(await self._source.refresh())
        except DiagnosticsError as problem:
            self.seen = Seen(before.revision, problem.diagnostics)
        except Exception as problem:
            self._on_bug(problem)
            self.seen = Seen(before.revision, (bug(problem),))
        self._looked(not self.seen.problems)
        if self.seen != before:
            for wake in self._wake:
                wake()
        return self.seen

    async def keep(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(self._pause)
