"""How each environment stands: what the page shows, what the metrics count, and what is told of."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from nexus.controller.settings import EnvironmentSettings, Key, Policy
from nexus.model.changes import Change, Plan
from nexus.model.diagnostics import Diagnostic
from nexus.planning import Drift, DriftReport


class Phase(StrEnum):
    STARTING = "starting"  # nothing was seen yet
    STANDBY = "standby"  # another controller leads this environment
    SYNCED = "synced"  # all is as it is written
    PENDING = "pending"  # something differs, and the policy is to plan only
    WAITING = "waiting"  # a plan waits for approval
    APPLYING = "applying"
    FAILED = "failed"  # the last attempt failed; it is made again


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """One environment, as of now.

    ``revision`` is what its files are at, ``applied`` the one that an apply has seen last. ``plan`` is the last one
    that was made, ``digest`` names it where it waits. ``drift`` is the last that was found, at ``drifted_at``.
    ``diagnostics`` say why it failed, ``failures`` how often in a row. ``source_problems`` say why its files can't be
    had anew; it is kept as they were. ``leader`` names who leads where this controller does
    not.
    """

    key: Key
    policy: Policy
    interval: float
    phase: Phase = Phase.STARTING
    revision: str = ""
    title: str = ""
    applied: str = ""
    plan: Plan | None = None
    digest: str = ""
    drift: DriftReport | None = None
    drifted_at: datetime | None = None
    observed_at: datetime | None = None
    next_at: datetime | None = None
    failures: int = 0
    diagnostics: tuple[Diagnostic, ...] = ()
    source_problems: tuple[Diagnostic, ...] = ()
    is_leading: bool = False
    leader: str = ""

    @property
    def pending(self) -> tuple[Change, ...]:
        """What is planned, and not done."""
        return () if self.plan is None or self.phase in (Phase.SYNCED, Phase.STANDBY) else self.plan.changes

    @property
    def drifts(self) -> tuple[Drift, ...]:
        """The last that were seen, without what is to be left alone."""
        return () if self.drift is None else tuple(item for item in self.drift.drifts if not item.ignored)


class NoticeKind(StrEnum):
    """What a webhook can be told of."""

    LEADING = "leading"  # this controller leads the environment from now on
    STANDBY = "standby"  # another one does
    REVISION = "revision"  # its files have changed
    DRIFT = "drift"  # what is out there is not as it was applied
    PENDING = "pending"  # a plan would change something, and is only told
    WAITING = "waiting"  # a plan waits for approval
    APPROVED = "approved"  # somebody has said yes to the plan that waited
    APPLIED = "applied"
    FAILED = "failed"
    RECOVERED = "recovered"  # it goes well again


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Something that happened. ``summary`` counts changes by action. Holds no secret."""

    kind: NoticeKind
    key: Key
    at: datetime
    revision: str = ""
    summary: Mapping[str, int] = field(default_factory=dict)
    digest: str = ""
    seconds: float | None = None
    diagnostics: tuple[Diagnostic, ...] = ()
    message: str = ""


Tell = Callable[[Notice], None]
"""Told of a notice, from the event loop's thread; must not block."""


def tell_all(listeners: Iterable[Tell]) -> Tell:
    told = tuple(listeners)

    def tell(notice: Notice) -> None:
        for listener in told:
            listener(notice)

    return tell


class Board:
    """All standings, by environment. Written by the one who keeps the environment, read by everybody."""

    def __init__(self, environments: Iterable[EnvironmentSettings]) -> None:
        self._standings = {
            item.key: Standing(key=item.key, policy=item.policy, interval=item.interval) for item in environments
        }

    def __getitem__(self, key: Key) -> Standing:
        return self._standings[key]

    def get(self, key: Key) -> Standing | None:
        return self._standings.get(key)

    @property
    def all(self) -> tuple[Standing, ...]:
        return tuple(self._standings[key] for key in sorted(self._standings))

    def change(self, key: Key, **changes: Any) -> Standing:
        """The standing with these fields changed."""
        self._standings[key] = replace(self._standings[key], **changes)
        return self._standings[key]

    @property
    def is_ready(self) -> bool:
        """Whether every environment was looked at, or is led by another."""
        return all(item.phase is not Phase.STARTING for item in self._standings.values())
