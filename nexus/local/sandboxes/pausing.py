"""Pause and resume: freezing a machine as it is, or keeping only its disk and booting a new one from it.

A disk-only pause turns what the machine wrote into a layer of its own; the resume starts a fresh machine on top. The
sandbox's environment values are kept in the daemon's memory meanwhile, never on disk: if the daemon ends before the
resume they are lost, and the sandbox's log says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from nexus.local.clock import Clock
from nexus.local.isolation.base import Isolation
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import LiveSandbox
from nexus.local.sandboxes.model import PauseMode, SandboxRecord, SandboxState
from nexus.local.sandboxes.records import SandboxRecords


class Pauser:
    """Carries out transitions that the service has already granted."""

    def __init__(self, isolation: Isolation, booter: Booter, records: SandboxRecords) -> None:
        self._isolation = isolation
        self._booter = booter
        self._records = records

    async def pause(self, live: LiveSandbox, mode: PauseMode, *, at: datetime) -> None:
        match mode:
            case PauseMode.FULL:
                await live.machine.pause()
                await self._save_paused(live, mode, live.record.layers, at)
            case PauseMode.FILESYSTEM:
                await self._keep_only_disk(live, at)
        live.logbook.note(at, "Sandbox paused", mode=mode.value)

    async def resume(self, live: LiveSandbox, clock: Clock, *, seconds: int, reboot: bool) -> None:
        """Thaw, or boot from disk when only that was kept or ``reboot`` asks for it."""
        if reboot and live.record.pause_mode is PauseMode.FULL:
            await self._keep_only_disk(live, live.record.end_at)
        if live.record.pause_mode is PauseMode.FILESYSTEM:
            live.running_machine = await self._booter.boot(live.record, self._kept_envs(live, clock.now()))
            live.parked_envs = None
        else:
            await live.machine.resume()
        now = clock.now()
        end_at = now + timedelta(seconds=seconds)
        await self._save(
            live, replace(live.record, state=SandboxState.RUNNING, started_at=now, end_at=end_at, pause_mode=None)
        )
        live.logbook.note(now, "Sandbox resumed")

    async def drop_disk(self, record: SandboxRecord) -> None:
        """Remove the layers that disk-only pauses made; those of the template stay."""
        for layer in record.layers[len(record.bootable.layers) :]:
            await self._isolation.remove_layer(layer)

    async def _keep_only_disk(self, live: LiveSandbox, at: datetime) -> None:
        """Copy what the machine wrote into a layer, put that on record, and only then end the machine.

        In this order a crash at any point leaves either the running machine or the kept disk.
        """
        machine = live.machine
        # A frozen envd cannot answer; thawing it for a moment changes nothing that is kept.
        await machine.resume()
        live.parked_envs = await self._read_envs(live)
        layer = f"p{secrets.token_hex(6)}"
        await machine.pause()
        try:
            await self._isolation.snapshot(machine.id, layer)
        except BaseException:
            if live.record.state is SandboxState.RUNNING:
                await machine.resume()
            raise
        await self._save_paused(live, PauseMode.FILESYSTEM, (*live.record.layers, layer), at)
        live.running_machine = None
        await self._booter.scrap(machine)

    async def _read_envs(self, live: LiveSandbox) -> dict[str, str] | None:
        if not live.record.has_env_vars:
            return {}
        found = await self._booter.guest(live.record, live.machine).get_json("/envs")
        return {str(key): str(value) for key, value in found.items()} if isinstance(found, dict) else None

    def _kept_envs(self, live: LiveSandbox, now: datetime) -> Mapping[str, str]:
        if live.parked_envs is None and live.record.has_env_vars:
            live.logbook.note(
                now,
                "The sandbox's environment variables were lost when the engine restarted during the pause",
                level="warn",
            )
        return live.parked_envs or {}

    async def _save_paused(self, live: LiveSandbox, mode: PauseMode, layers: tuple[str, ...], at: datetime) -> None:
        paused = replace(live.record, state=SandboxState.PAUSED, end_at=at, pause_mode=mode, layers=layers)
        await self._save(live, paused)

    async def _save(self, live: LiveSandbox, record: SandboxRecord) -> None:
        await self._records.write(record)
        live.record = record
