"""Pause and resume: freezing a machine as it is, or ending it and booting another one from its disk.

A disk-only pause leaves what the machine has written where it is; the resume starts a fresh machine on top. The
sandbox's environment values are kept in the daemon's memory meanwhile, never on disk: if the daemon ends before the
resume they are lost, and the sandbox's log says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from nexus.local.clock import Clock
from nexus.local.errors import ConflictError
from nexus.local.guest import GuestError
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import LiveSandbox
from nexus.local.sandboxes.model import PauseMode, SandboxRecord, SandboxState
from nexus.local.sandboxes.records import SandboxRecords

GUEST_UNRESPONSIVE = "sandbox_snapshot_guest_agent_unresponsive"
GUEST_LIMIT = 5.0


class Pauser:
    """Carries out transitions that the service has already granted."""

    def __init__(self, booter: Booter, records: SandboxRecords) -> None:
        self._booter = booter
        self._records = records

    async def pause(self, live: LiveSandbox, mode: PauseMode, *, at: datetime, require_healthy: bool = False) -> None:
        """Raises ConflictError when the sandbox has to be healthy and does not answer; it then goes on running."""
        live.parked_envs = await self._ask_envs(live) if live.record.has_env_vars or require_healthy else {}
        if live.parked_envs is None and require_healthy:
            raise ConflictError(f"sandbox '{live.id}' does not answer", error_code=GUEST_UNRESPONSIVE)
        match mode:
            case PauseMode.FULL:
                await live.machine.pause()
                try:
                    await self._save(live, _paused(live.record, mode, at))
                except BaseException:
                    await live.machine.resume()
                    raise
            case PauseMode.FILESYSTEM:
                await self._keep_only_disk(live, at)
        live.logbook.note(at, "Sandbox paused", mode=mode.value)

    async def resume(self, live: LiveSandbox, clock: Clock, *, seconds: int, reboot: bool) -> None:
        """Thaw, or boot from disk when only that was kept or ``reboot`` asks for it."""
        if reboot and live.record.pause_mode is PauseMode.FULL:
            await self._park_envs_of_frozen(live)
            await self._keep_only_disk(live, live.record.end_at)
        if live.record.pause_mode is PauseMode.FILESYSTEM:
            live.running_machine = await self._booter.reboot(live.record, self._kept_envs(live, clock.now()))
        else:
            await live.machine.resume()
        now = clock.now()
        end_at = now + timedelta(seconds=seconds)
        try:
            await self._save(
                live, replace(live.record, state=SandboxState.RUNNING, started_at=now, end_at=end_at, pause_mode=None)
            )
        except BaseException:
            await self._put_back(live)
            raise
        live.parked_envs = None
        live.logbook.note(now, "Sandbox resumed")

    async def _put_back(self, live: LiveSandbox) -> None:
        """Have the machine as it was before a resume that could not be put on record: nothing would end it in time."""
        if live.record.pause_mode is PauseMode.FILESYSTEM:
            await live.machine.kill()
            live.running_machine = None
        else:
            await live.machine.pause()

    async def _keep_only_disk(self, live: LiveSandbox, at: datetime) -> None:
        """Put it on record, and only then end the machine: after a crash in between, recovery ends it.

        What the machine wrote stays where it is, so there is nothing to copy and nothing that could be half done.
        """
        before = live.record
        await self._save(live, _paused(before, PauseMode.FILESYSTEM, at))
        try:
            await live.machine.kill()
        except BaseException:
            await self._save(live, before)
            raise
        live.running_machine = None

    async def _ask_envs(self, live: LiveSandbox) -> dict[str, str] | None:
        """The sandbox's variables, None when it does not answer."""
        try:
            async with asyncio.timeout(GUEST_LIMIT):
                return await self._booter.read_envs(live.record, live.machine)
        except (GuestError, OSError, TimeoutError):
            return None

    async def _park_envs_of_frozen(self, live: LiveSandbox) -> None:
        """Only a daemon that did not pause the sandbox itself has to ask; for that it is thawed for a moment."""
        if live.parked_envs is not None or not live.record.has_env_vars:
            return
        await live.machine.resume()
        try:
            live.parked_envs = await self._ask_envs(live)
        finally:
            await live.machine.pause()

    def _kept_envs(self, live: LiveSandbox, now: datetime) -> Mapping[str, str]:
        if live.parked_envs is None and live.record.has_env_vars:
            live.logbook.note(
                now,
                "The sandbox's environment variables are lost: the engine was restarted during the pause, "
                "or the sandbox did not answer before it",
                level="warn",
            )
        return live.parked_envs or {}

    async def _save(self, live: LiveSandbox, record: SandboxRecord) -> None:
        await self._records.write(record)
        live.record = record


def _paused(record: SandboxRecord, mode: PauseMode, at: datetime) -> SandboxRecord:
    return replace(record, state=SandboxState.PAUSED, end_at=at, pause_mode=mode)
