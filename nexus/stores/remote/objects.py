"""What a server has to offer so that a state can be kept on it: documents that are replaced whole, if still as known.

All that is here blocks, and is called in threads of its own: a lock is renewed while an event loop waits for a person.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from nexus.model.diagnostics import DiagnosticsError
from nexus.stores.failures import unreachable

T = TypeVar("T")

PATIENCE: Final = 20.0
"""Seconds for which a server that does not answer is asked again."""

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 3.0

_CHANCE: Final = random.Random()  # noqa: S311 - so that many do not ask at once
"""Our own: the interpreter's is everybody's, and may have been seeded for a purpose."""


class ConflictError(Exception):
    """What is there is not what was expected: somebody else was faster."""


class UnreachableError(Exception):
    """The server did not answer, or not now. Whether something was written is not known. The message says why."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as found. ``version`` stands for this very content, and means something to its server alone."""

    content: bytes
    version: str


class Objects(Protocol):
    """The documents of one environment of one project. Safe to use from several threads.

    Every method raises UnreachableError when it may go better later, and DiagnosticsError when it will not.
    """

    @property
    def place(self) -> str:
        """Where they are, for people. No secret is in it."""

    def get(self, name: str) -> Stored | None:
        """The document as last written; None where there is none."""

    def version(self, name: str) -> str | None:
        """Of the document as last written, whatever is in it; None where there is none."""

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        """Put it in place of the version ``expected``, None of nothing at all; its version, for good.

        Raises ConflictError when something else is there.
        """

    def remove(self, names: Sequence[str]) -> None:
        """Remove them, in this order. What is not there is no error."""

    def names(self, prefix: str) -> Sequence[str]:
        """Those that begin so, in order. Empty where the server can't tell."""

    def age(self, name: str) -> float | None:
        """Seconds since it was written, by the server's clock; None where there is none."""


class Steadfast:
    """Objects that ask again when a server does not answer, and find out whether a lost answer was a yes.

    Raises DiagnosticsError (``state-unreachable``) once ``patience`` seconds are over, never UnreachableError.
    """

    def __init__(self, objects: Objects, patience: float = PATIENCE) -> None:
        self._objects = objects
        self._patience = patience

    @property
    def place(self) -> str:
        return self._objects.place

    def hurried(self, patience: float) -> Steadfast:
        """The same documents, with less patience."""
        return Steadfast(self._objects, patience)

    def get(self, name: str) -> Stored | None:
        return self.ask(lambda: self._objects.get(name))

    def version(self, name: str) -> str | None:
        return self.ask(lambda: self._objects.version(name))

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        attempts = 0

        def attempt() -> str:
            nonlocal attempts
            attempts += 1
            try:
                return self._objects.put(name, content, expected)
            except ConflictError:
                there = self._objects.get(name)
                if attempts > 1 and there is not None and there.content == content:
                    return there.version  # an attempt before this one was answered with yes, and the answer lost
                if (None if there is None else there.version) == expected:
                    raise UnreachableError("it was busy with another request") from None
                raise

        return self.ask(attempt)

    def remove(self, names: Sequence[str]) -> None:
        if names:
            self.ask(lambda: self._objects.remove(names))

    def names(self, prefix: str) -> Sequence[str]:
        return self.ask(lambda: self._objects.names(prefix))

    def age(self, name: str) -> float | None:
        return self.ask(lambda: self._objects.age(name))

    def ask(self, ask: Callable[[], T]) -> T:
        """What it answers, however often it takes. Raises like every other method."""
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while True:
            try:
                return ask()
            except UnreachableError as problem:
                if time.monotonic() + pause > deadline:
                    raise DiagnosticsError(unreachable(self.place, str(problem))) from problem
            time.sleep(pause * _CHANCE.uniform(0.5, 1.0))
            pause = min(2 * pause, _LONGEST_PAUSE)
