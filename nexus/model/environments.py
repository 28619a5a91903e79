"""Environments: how they and branches of them are called, and what is known of each."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_LONGEST: Final = 40
_DIGEST: Final = 6


@dataclass(frozen=True, slots=True)
class Environment:
    """``base`` gives the values and the overlay; a ``branch`` of it has objects and a state of its own."""

    base: str
    branch: str = ""

    @property
    def name(self) -> str:
        """What its objects and its state are called by."""
        return f"{self.base}-{self.branch}" if self.branch else self.base

    def __str__(self) -> str:
        return f"{self.base}/{self.branch}" if self.branch else self.base

    @classmethod
    def parse(cls, text: str) -> Environment:
        """``prod``, or ``preview/feature/login``: what follows the first slash is a branch, of Git for example."""
        base, _, branch = text.partition("/")
        return cls(base, _slug(branch))


def _slug(branch: str) -> str:
    """A name that objects may have. What does not survive as it is, is told apart by a digest."""
    if re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", branch) and len(branch) <= _LONGEST:
        return branch
    slug = re.sub(r"[^a-z0-9]+", "-", branch.lower()).strip("-")[: _LONGEST - _DIGEST - 1].strip("-")
    return f"{slug or 'branch'}-{hashlib.sha256(branch.encode()).hexdigest()[:_DIGEST]}" if branch else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One environment. ``serial`` is that of its state, None where it has none; ``resources`` counts what it knows.

    ``last_used`` is when something was last applied, or made, as far as that is known here. ``ttl`` is in seconds.
    """

    environment: Environment
    declared: bool
    serial: int | None = None
    resources: int = 0
    last_used: datetime | None = None
    sandboxes_end: datetime | None = None
    ttl: int | None = None

    @property
    def name(self) -> str:
        """As «-e» takes it: ``prod``, ``preview/login``."""
        return str(self.environment)

    @property
    def ends(self) -> datetime | None:
        """When it is over: its time has passed since it was last used, and no sandbox is entitled to live on."""
        if self.ttl is None or self.last_used is None or not self.resources:
            return None
        end = self.last_used + timedelta(seconds=self.ttl)
        return end if self.sandboxes_end is None else max(end, self.sandboxes_end)

    def is_over(self, now: datetime) -> bool:
        return self.ends is not None and self.ends <= now
