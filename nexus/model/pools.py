"""How warm pools stand: what is ready to be taken, and who has what was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from nexus.model.addresses import Address
from nexus.model.resources import Pool
from nexus.model.state import Taken


class Readiness(StrEnum):
    """How a sandbox of a pool stands."""

    READY = "ready"  # it runs
    PAUSED = "paused"  # it is woken when it is taken
    UNFINISHED = "unfinished"  # its setup has not come to its end
    ENDED = "ended"  # the next apply makes another


_GIVEN_OUT: Final = frozenset({Readiness.READY, Readiness.PAUSED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A place in a pool that is filled, and until when its sandbox lives."""

    address: Address
    id: str
    readiness: Readiness
    created_at: str
    expires_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class InUse:
    """A sandbox that was taken. ``status`` is running or paused; ``expires_at`` None while it is paused."""

    address: Address
    id: str
    taken: Taken
    status: str
    expires_at: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolStanding:
    """One pool: what it is to be, and what there is of it. What was taken and has ended is left out."""

    address: Address
    pool: Pool
    members: Sequence[Member]
    taken: Sequence[InUse]

    @property
    def ready(self) -> int:
        """How many could be taken now."""
        return sum(member.readiness in _GIVEN_OUT for member in self.members)
