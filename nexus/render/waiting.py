"""A line that moves while there is nothing to show yet: what is waited for, and for how long."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.live import Live
from rich.text import Text

from nexus.render.ledger import Clock
from nexus.render.values import duration

SPINNER: Final = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_TURNS: Final = 10
_TIMES_A_SECOND: Final = 8
_LONG: Final = 1.0
"""Seconds from which the time is shown."""


def turning(now: float) -> str:
    """The spinner as it stands at a time in seconds."""
    return SPINNER[int(now * _TURNS) % len(SPINNER)]


@dataclass(slots=True)
class Waiting:
    """``words`` are asked for again and again, as what is waited for changes. Leaves nothing on the terminal."""

    console: Console
    words: Callable[[], str]
    clock: Clock = time.monotonic
    _since: float = field(init=False)
    _live: Live = field(init=False)

    def __post_init__(self) -> None:
        self._since = self.clock()
        # Whoever writes ends it before; a stream that rich stands in for is no terminal any more.
        self._live = Live(
            console=self.console,
            get_renderable=self.render,
            refresh_per_second=_TIMES_A_SECOND,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def start(self) -> None:
        self._live.start(refresh=True)

    def stop(self) -> None:
        """Safe to call twice."""
        self._live.stop()

    def render(self) -> Text:
        now = self.clock()
        text = Text.assemble((f"{turning(now)} ", "run"), self.words())
        if now - self._since >= _LONG:
            text.append(f"  {duration(now - self._since)}", style="faint")
        text.truncate(self.console.width, overflow="ellipsis")
        return text
