"""Copies of running sandboxes: their disk as a layer, and forks that stand on it.

The memory of a machine cannot be copied here. A fork is a new machine with the files of its source: it keeps the
source's environment values, which go from one envd to the other over sockets, and the template's start command is
started in it again.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from nexus.local.clock import Clock
from nexus.local.errors import ConflictError, EngineError, InvalidRequestError
from nexus.local.guest import GuestError
from nexus.local.isolation.base import Isolation
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import LiveSandbox, unknown_sandbox
from nexus.local.sandboxes.model import SandboxRecord, SandboxState
from nexus.local.sandboxes.pausing import GUEST_LIMIT, GUEST_UNRESPONSIVE
from nexus.local.sandboxes.service import SandboxService, new_sandbox_id
from nexus.local.storage.layout import SNAPSHOT_PREFIX
from nexus.local.storage.retention import Janitor, Retention
from nexus.local.storage.space import DiskSpace, NotEnoughSpaceError

MAX_FORKS = 100
# Every copy of a copy stands on one layer more, and a machine's layers must fit into one page of mount options.
MAX_LAYERS = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class DiskCopy:
    """What a sandbox was made of at one moment. ``layers`` has the copy on top; they are pinned while this is used."""

    record: SandboxRecord
    layers: tuple[str, ...]
    env_vars: Mapping[str, str]


Fork = SandboxRecord | EngineError
"""What became of one fork."""


class SandboxCopier:
    """Copies the disks of running sandboxes, and forks them."""

    def __init__(
        self,
        *,
        service: SandboxService,
        isolation: Isolation,
        booter: Booter,
        retention: Retention,
        janitor: Janitor,
        space: DiskSpace,
        clock: Clock,
    ) -> None:
        self._service = service
        self._isolation = isolation
        self._booter = booter
        self._retention = retention
        self._janitor = janitor
        self._space = space
        self._clock = clock

    @asynccontextmanager
    async def copied(self, live: LiveSandbox, transition: str, *, with_envs: bool = False) -> AsyncIterator[DiskCopy]:
        """Copy a sandbox's disk into a layer that stays at least until the block ends.

        The sandbox stands still meanwhile, and goes on afterwards whatever happens. Raises ConflictError when it is
        changing its state or does not answer, NotEnoughSpaceError when the disk is full.
        """
        self._space.check("copy a sandbox's disk")
        if len(live.record.layers) >= MAX_LAYERS:
            raise InvalidRequestError(
                f"sandbox '{live.id}' stands on {len(live.record.layers)} layers, too many for one more copy: "
                "build a template with its content instead"
            )
        layer = f"{SNAPSHOT_PREFIX}{secrets.token_hex(8)}"
        try:
            with self._retention.pinned((*live.record.layers, layer)):
                yield await self._copy(live, layer, transition, with_envs=with_envs)
        finally:
            self._janitor.wake()

    async def fork(self, sandbox_id: str, *, seconds: int, count: int) -> Sequence[Fork]:
        """Make ``count`` new sandboxes out of a running one; each lives for ``seconds`` or is the error it met.

        Raises EngineError when there is nothing to fork.
        """
        self._service.check_timeout(seconds)
        live = self._find(sandbox_id)
        async with self.copied(live, "forking", with_envs=live.record.has_env_vars) as copy:
            forks = await asyncio.gather(*(self._fork_once(copy, seconds) for _ in range(count)))
        live.logbook.note(self._clock.now(), "Sandbox forked", count=str(count))
        return forks

    async def _fork_once(self, copy: DiskCopy, seconds: int) -> Fork:
        now = self._clock.now()
        record = replace(
            copy.record,
            id=new_sandbox_id(),
            state=SandboxState.CREATING,
            started_at=now,
            end_at=now,
            timeout=seconds,
            layers=copy.layers,
        )
        try:
            fork = await self._service.launch(record, copy.env_vars)
        except EngineError as error:
            return error
        except Exception as error:
            _log.exception("a fork of sandbox %s failed", copy.record.id)
            return EngineError(f"the fork could not be started: {error}")
        fork.logbook.note(fork.record.started_at, "Sandbox created", forked_from=copy.record.id)
        return fork.record

    def _find(self, sandbox_id: str) -> LiveSandbox:
        live = self._service.fleet.find(sandbox_id)
        if live.record.state is SandboxState.PAUSED or live.transition == "pausing":
            raise ConflictError(f"Sandbox '{live.id}' is paused and cannot be forked; resume it first")
        if live.transition is not None:
            raise ConflictError(f"Sandbox '{live.id}' cannot be forked while in '{live.transition}' state")
        return live

    async def _copy(self, live: LiveSandbox, layer: str, transition: str, *, with_envs: bool) -> DiskCopy:
        try:
            with live.in_transition(transition):
                envs = await self._read_envs(live) if with_envs else {}
                await self._copy_frozen(live, layer)
                return DiskCopy(live.record, (*live.record.layers, layer), envs)
        finally:
            # Its time may have come while it could not be ended.
            self._service.on_lifetime_change()

    async def _read_envs(self, live: LiveSandbox) -> Mapping[str, str]:
        try:
            async with asyncio.timeout(GUEST_LIMIT):
                return await self._booter.read_envs(live.record, live.machine)
        except (GuestError, OSError, TimeoutError) as error:
            raise ConflictError(
                f"Sandbox '{live.id}' does not answer, so its environment cannot be copied",
                error_code=GUEST_UNRESPONSIVE,
            ) from error

    async def _copy_frozen(self, live: LiveSandbox, layer: str) -> None:
        machine = live.machine
        await machine.pause()
        try:
            await self._isolation.snapshot(machine.id, layer)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise NotEnoughSpaceError("not enough disk space to copy the sandbox's disk") from error
            raise
        finally:
            await machine.resume()
        if self._service.fleet.get(live.id) is not live:
            # Killed meanwhile; that has waited for the end of this.
            raise unknown_sandbox(live.id)
