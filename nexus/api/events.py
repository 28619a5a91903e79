"""Whom a run tells and asks, and who may interrupt it; and what stands for each of them where a program gives none."""

from __future__ import annotations

from collections.abc import Callable

from nexus.model.changes import Plan
from nexus.model.events import Event

OnEvent = Callable[[Event], None]
"""Told what happens, in its order, from the event loop's thread."""
Approve = Callable[[Plan], bool]
"""Asked once, with the whole plan, before anything is done."""
Confirm = Callable[[str], bool]
"""Asked with a question before something is done that can't be taken back."""


def ignore(event: Event) -> None:
    """Nobody listens."""


def yes(about: object) -> bool:  # noqa: ARG001
    """It was decided before."""
    return True


def leave_interrupts(interrupt: Callable[[], None] | None, /) -> None:
    """Signals belong to the program that imports us: a KeyboardInterrupt cancels the run."""
