"""Sandboxes that end when a fault says so, rather than when their client does."""

from __future__ import annotations

from nexus.local.sandboxes.service import SandboxService


class Mishaps:
    """What :mod:`nexus.local.faults` asks for: both do nothing to a sandbox that is not there."""

    def __init__(self, service: SandboxService) -> None:
        self._service = service

    async def vanish(self, sandbox_id: str) -> None:
        """Kill it at once, whatever its lifecycle says."""
        if self._service.fleet.get(sandbox_id) is not None:
            await self._service.kill(sandbox_id)

    async def expire(self, sandbox_id: str) -> None:
        """Let its time be up now: when this returns it is killed, or paused if its lifecycle says that."""
        live = self._service.fleet.get(sandbox_id)
        if live is None or not live.is_running:
            return
        await self._service.set_timeout(sandbox_id, 0)
        await self._service.expire(live)
