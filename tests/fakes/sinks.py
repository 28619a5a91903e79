"""A listener that remembers, and ids that count."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import TypeVar

from nexus.model.events import Event, OperationFinished, OperationStarted

E = TypeVar("E", bound=Event)


class RecordingSink:
    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def story(self) -> list[str]:
        """Starts and ends in order: ``+1`` started, ``succeeded 1`` ended."""
        lines = []
        for event in self.events:
            match event:
                case OperationStarted(operation=operation):
                    lines.append(f"+{operation.id}")
                case OperationFinished(operation=operation, outcome=outcome):
                    lines.append(f"{outcome} {operation.id}")
                case _:
                    pass
        return lines


def sequential_ids(prefix: str = "id") -> Callable[[], str]:
    numbers = itertools.count(1)
    return lambda: f"{prefix}{next(numbers)}"
