"""Documents in memory, with a clock of their own, that may fail as a server's do."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from nexus.stores.remote.objects import ConflictError, Stored, UnreachableError


@dataclass(slots=True)
class MemoryObjects:
    """Several users of one of these see the same, as machines see the same server. ``now`` is the server's clock.

    While ``away``, nothing is answered; of the writes that follow, ``lost_answers`` are done without being answered.
    """

    place: str = "memory"
    documents: dict[str, Stored] = field(default_factory=dict)
    written_at: dict[str, float] = field(default_factory=dict)
    now: float = 0.0
    away: bool = False
    lost_answers: int = 0
    asked: int = 0
    changed: threading.Condition = field(default_factory=threading.Condition)
    _versions: itertools.count[int] = field(default_factory=itertools.count)

    def get(self, name: str) -> Stored | None:
        self._answer()
        return self.documents.get(name)

    def version(self, name: str) -> str | None:
        found = self.get(name)
        return None if found is None else found.version

    def put(self, name: str, content: bytes, expected: str | None) -> str:
        with self.changed:
            self._answer()
            there = self.documents.get(name)
            if (None if there is None else there.version) != expected:
                raise ConflictError
            stored = self.documents[name] = Stored(content, str(next(self._versions)))
            self.written_at[name] = self.now
            self.changed.notify_all()
        if self.lost_answers:
            self.lost_answers -= 1
            raise UnreachableError("the answer was lost")
        return stored.version

    def remove(self, names: Sequence[str]) -> None:
        self._answer()
        for name in names:
            self.documents.pop(name, None)

    def names(self, prefix: str) -> Sequence[str]:
        self._answer()
        return sorted(name for name in self.documents if name.startswith(prefix))

    def age(self, name: str) -> float | None:
        self._answer()
        return None if name not in self.documents else self.now - self.written_at[name]

    def _answer(self) -> None:
        self.asked += 1
        if self.away:
            raise UnreachableError("nobody is there")
