"""The board of what runs, kept at the bottom of a terminal under the lines that stay."""

from __future__ import annotations

from rich.live import Live

from nexus.model.events import ApplyFinished, ApplyStarted, Event
from nexus.render.progress import Progress

_TIMES_A_SECOND = 8


class Tail:
    """A sink: what ``progress`` writes, and its board on the screen for as long as the apply goes on."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._live: Live | None = None

    def __call__(self, event: Event) -> None:
        if isinstance(event, ApplyFinished):
            self.close()
        self._progress(event)
        if isinstance(event, ApplyStarted) and self._progress.board is not None:
            self._live = Live(
                console=self._progress.console,
                get_renderable=self._progress.board.render,
                refresh_per_second=_TIMES_A_SECOND,
                transient=True,
            )
            self._live.start()

    def close(self) -> None:
        """Leave the terminal as it was. Safe to call twice."""
        if self._live is not None:
            self._live.stop()
            self._live = None
