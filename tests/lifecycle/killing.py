"""Ends a run of nexus at a chosen moment: at the Nth thing that it does to its files, before, in the middle, or after.

The files are the journal, the state, its backup and their folder: all that a crash could leave in two minds.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from nexus.stores.files import Files

_STEPS = ("append", "rename", "remove", "make_folder")
"""The methods that change files, each durable on its own; the others are made of them."""


class Moment(StrEnum):
    BEFORE = "before"
    HALFWAY = "halfway"  # half of what is appended is written
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class DiskDeath:
    """To be called in the process that is to end. ``count`` from 1; 0 lets it live.

    The number of steps that were begun is written to ``tally``.
    """

    count: int
    moment: Moment
    tally: Path

    def __call__(self) -> None:
        counter = _Counter(self)
        for name in _STEPS:
            setattr(Files, name, counter.around(getattr(Files, name)))


class _Counter:
    def __init__(self, death: DiskDeath) -> None:
        self._death = death
        self._lock = threading.Lock()
        self._begun = 0

    def around(self, step: Callable[..., Any]) -> Callable[..., Any]:
        death = self._death

        def counted(files: Files, *arguments: Any) -> Any:
            with self._lock:
                self._begun += 1
                chosen = self._begun == death.count
                death.tally.write_text(str(self._begun))
            if chosen and death.moment is Moment.BEFORE:
                _die()
            if chosen and death.moment is Moment.HALFWAY and step.__name__ == "append":
                descriptor, content = arguments
                os.write(descriptor, content[: len(content) // 2])
                _die()
            result = step(files, *arguments)
            if chosen:
                _die()
            return result

        return counted


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)
