"""The sandboxes this daemon looks after, in memory: one :class:`LiveSandbox` each, found by id."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime

from nexus.local.errors import ConflictError, NotFoundError
from nexus.local.isolation.base import Machine
from nexus.local.sandboxes.logbook import Logbook
from nexus.local.sandboxes.metrics import SampleSeries
from nexus.local.sandboxes.model import SandboxRecord, SandboxState


class NoMachineError(Exception):
    """The sandbox is paused with only its disk kept: there is no machine to talk to."""


@dataclass(slots=True)
class LiveSandbox:
    """One sandbox: what is on record, its machine, and the transition under way (``pausing``, ``resuming``).

    ``parked_envs`` holds the environment between a pause that drops the machine and the resume that makes a new one,
    in memory only. ``changing_network`` is held while the rules of the machine and those on record may differ.
    """

    record: SandboxRecord
    running_machine: Machine | None = None
    transition: str | None = None
    logbook: Logbook = field(default_factory=Logbook)
    samples: SampleSeries = field(default_factory=SampleSeries)
    parked_envs: dict[str, str] | None = field(default=None, repr=False)
    changing_network: asyncio.Lock = field(default_factory=asyncio.Lock)
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return self.record.id

    @property
    def machine(self) -> Machine:
        if self.running_machine is None:
            raise NoMachineError(self.id)
        return self.running_machine

    @property
    def is_running(self) -> bool:
        """Running, and not on its way to pause."""
        return self.record.state is SandboxState.RUNNING and self.transition != "pausing"

    def shown(self, now: datetime) -> SandboxRecord:
        """The record as clients see it: one that is being paused counts as paused already."""
        if self.transition == "pausing" and self.record.state is SandboxState.RUNNING:
            return replace(self.record, state=SandboxState.PAUSED, end_at=min(now, self.record.end_at))
        return self.record

    @contextlib.contextmanager
    def in_transition(self, name: str) -> Iterator[None]:
        """Hold the sandbox for one change of state. Raises ConflictError while another is under way."""
        if self.transition is not None:
            raise ConflictError(f"sandbox '{self.id}' is busy: {self.transition}")
        self.transition = name
        self._idle.clear()
        try:
            yield
        finally:
            self.transition = None
            self._idle.set()

    async def settled(self) -> None:
        """Return when no transition is under way."""
        while self.transition is not None:
            await self._idle.wait()


class Fleet:
    """Sandboxes by id. One that is being created is held back, one that is being killed is already gone."""

    def __init__(self) -> None:
        self._members: dict[str, LiveSandbox] = {}

    def __iter__(self) -> Iterator[LiveSandbox]:
        return iter(list(self._members.values()))

    def __len__(self) -> int:
        return len(self._members)

    def add(self, live: LiveSandbox) -> None:
        self._members[live.id] = live

    def remove(self, live: LiveSandbox) -> None:
        self._members.pop(live.id, None)

    def get(self, sandbox_id: str) -> LiveSandbox | None:
        """By id; what follows a hyphen is the client id of older SDKs and does not count."""
        return self._members.get(sandbox_id.partition("-")[0])

    def find(self, sandbox_id: str) -> LiveSandbox:
        """Raises NotFoundError in E2B's words."""
        if (live := self.get(sandbox_id)) is None:
            raise unknown_sandbox(sandbox_id)
        return live

    def find_running(self, sandbox_id: str) -> LiveSandbox:
        """Raises NotFoundError for paused ones too."""
        live = self.find(sandbox_id)
        if not live.is_running:
            raise unknown_sandbox(sandbox_id)
        return live


def unknown_sandbox(sandbox_id: str) -> NotFoundError:
    return NotFoundError(f"Sandbox \"{sandbox_id}\" doesn't exist or you don't have access to it")
