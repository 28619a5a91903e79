"""What can be done with sandboxes: the operations behind the control plane's routes and the edge's auto-resume."""

from __future__ import annotations

import contextlib
import logging
import secrets
import string
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from nexus.local.clock import Clock
from nexus.local.errors import ConflictError, InvalidRequestError
from nexus.local.isolation.base import Isolation
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import Fleet, LiveSandbox, unknown_sandbox
from nexus.local.sandboxes.listing import SandboxPage, SandboxQuery, page_of
from nexus.local.sandboxes.model import (
    NetworkSettings,
    PauseMode,
    SandboxRecord,
    SandboxRequest,
    SandboxState,
    TemplateSource,
)
from nexus.local.sandboxes.pausing import Pauser
from nexus.local.sandboxes.records import SandboxRecords
from nexus.local.sandboxes.volumes import VolumeRegistry
from nexus.local.storage.retention import Retention
from nexus.local.storage.space import DiskSpace

AUTO_RESUME_FLOOR = 300
_ID_LETTERS = string.ascii_lowercase + string.digits
_log = logging.getLogger(__name__)


class SandboxService:
    """All sandboxes of one engine.

    ``on_leave`` is awaited before a sandbox is paused or killed, ``before_kill`` while one that no request finds any
    more still has its machine, ``on_gone`` after it was killed. ``retention`` learns which layers the sandboxes stand
    on, ``space`` says whether there is room on the disk for one more.
    """

    def __init__(
        self,
        *,
        fleet: Fleet,
        isolation: Isolation,
        booter: Booter,
        pauser: Pauser,
        records: SandboxRecords,
        templates: TemplateSource,
        volumes: VolumeRegistry,
        clock: Clock,
        quotas: Quotas,
        retention: Retention,
        space: DiskSpace,
    ) -> None:
        self.fleet = fleet
        self._isolation = isolation
        self._booter = booter
        self._pauser = pauser
        self._records = records
        self._templates = templates
        self._volumes = volumes
        self._clock = clock
        self._quotas = quotas
        self._retention = retention
        self._space = space
        self._to_be: dict[str, SandboxRecord] = {}
        self.on_leave: Callable[[str], Awaitable[None]] = _nothing
        self.before_kill: Callable[[LiveSandbox], Awaitable[None]] = _nothing
        self.on_gone: Callable[[str], Awaitable[None]] = _nothing
        self.on_lifetime_change: Callable[[], None] = lambda: None

    # Create, look, kill

    async def create(self, request: SandboxRequest, sandbox_id: str) -> SandboxRecord:
        """Start a sandbox under an id from :func:`new_sandbox_id`; its time to live begins when it is up.

        A record is on disk before the machine starts, so that a crash in between leaves nothing for good. Raises
        EngineError; then nothing is left behind.
        """
        self.check_timeout(request.timeout)
        bootable = self._templates.resolve(request.template)
        self._volumes.locate(request.volume_mounts)
        now = self._clock.now()
        record = SandboxRecord(
            id=sandbox_id,
            state=SandboxState.CREATING,
            bootable=bootable,
            started_at=now,
            end_at=now + timedelta(seconds=request.timeout),
            timeout=request.timeout,
            metadata=dict(request.metadata),
            network=request.network,
            lifecycle=request.lifecycle,
            volume_mounts=request.volume_mounts,
            layers=bootable.layers,
            has_env_vars=bool(request.env_vars),
            identity=dict(request.identity),
        )
        live = await self.launch(record, request.env_vars)
        live.logbook.note(live.record.started_at, "Sandbox created", template=bootable.template_id)
        return live.record

    async def launch(self, record: SandboxRecord, env_vars: Mapping[str, str]) -> LiveSandbox:
        """Start a new sandbox from its record, whose ``timeout`` begins when it is up.

        Raises EngineError; then nothing is left behind.
        """
        self._space.check("start a sandbox")
        live = LiveSandbox(record)
        with self._room(), self._retention.pinned(record.layers), self._coming_to_be(record):
            await self._records.write(record)
            try:
                live.running_machine = await self._booter.boot(record, env_vars)
                await self._go_live(live, record.timeout)
            except BaseException:
                if live.running_machine is not None:
                    await self._booter.scrap(live.running_machine)
                await self._records.remove(record.id)
                raise
        self._templates.note_use(record.bootable.template_id, live.record.started_at)
        return live

    def get(self, sandbox_id: str) -> SandboxRecord:
        return self.fleet.find(sandbox_id).shown(self._clock.now())

    def list(self, query: SandboxQuery) -> SandboxPage:
        now = self._clock.now()
        return page_of((live.shown(now) for live in self.fleet), query)

    def uses_template(self, template_id: str) -> SandboxState | None:
        """The state of some sandbox made from the template, or None. One that is just being made counts as running."""
        if any(record.bootable.template_id == template_id for record in self._to_be.values()):
            return SandboxState.RUNNING
        states = [live.record.state for live in self.fleet if live.record.bootable.template_id == template_id]
        return min(states, key=lambda state: state is not SandboxState.RUNNING, default=None)

    def needed_layers(self) -> Iterator[str]:
        """The layers that sandboxes stand on, paused ones too."""
        for live in self.fleet:
            yield from live.record.layers

    def uses_volume(self, name: str) -> bool:
        """Whether a sandbox has the volume mounted, or is just being made with it."""
        records = [*self._to_be.values(), *(live.record for live in self.fleet)]
        return any(mount.name == name for record in records for mount in record.volume_mounts)

    async def kill(self, sandbox_id: str) -> None:
        """Gone from the first moment on; returns when its processes and files are gone too."""
        live = self.fleet.find(sandbox_id)
        self.fleet.remove(live)
        # A resume that is under way, and what is left should the kill fail, stand on them.
        with self._retention.pinned(live.record.layers):
            try:
                await self._end(live)
            except BaseException:
                # Still there, so still shown: the caller can try again.
                self.fleet.add(live)
                raise
            await self._records.remove(live.id)
        await self.on_gone(live.id)

    async def forget_if_dead(self, live: LiveSandbox) -> None:
        """Remove a sandbox whose machine has ended by itself: its init was killed, or the host ran out of memory."""
        if not self._runs(live):
            return
        machine = live.machine
        if await self._isolation.attach(machine.id) is not None:
            return
        # A kill or a pause that came meanwhile may be what has ended it.
        if self._runs(live) and live.running_machine is machine:
            _log.warning("the machine of sandbox %s has ended", live.id)
            await self.kill(live.id)

    async def kill_all(self) -> int:
        """Kill every sandbox; returns how many there were."""
        ids = [live.id for live in self.fleet]
        for sandbox_id in ids:
            if self.fleet.get(sandbox_id) is not None:
                await self.kill(sandbox_id)
        return len(ids)

    # Lifetime

    async def set_timeout(self, sandbox_id: str, seconds: int) -> None:
        """End ``seconds`` from now: longer or shorter than before, never past the longest life."""
        live = self.fleet.find_running(sandbox_id)
        await self._update(live, end_at=self._end_from_now(live.record, max(0, seconds)))
        self.on_lifetime_change()

    async def extend(self, sandbox_id: str, seconds: int) -> SandboxRecord:
        """Live at least ``seconds`` from now."""
        live = self.fleet.find_running(sandbox_id)
        await self._extend(live, seconds)
        return live.record

    async def expire(self, live: LiveSandbox) -> None:
        """The evictor's call: pause or kill, as the sandbox's lifecycle says. Looks once more whether it is time."""
        if not self._runs(live) or live.transition or live.record.end_at > self._clock.now():
            return
        if live.record.lifecycle.auto_pause:
            live.logbook.note(self._clock.now(), "Sandbox timed out: pausing")
            await self.pause(live.id, live.record.lifecycle.auto_pause_mode)
        else:
            await self.kill(live.id)

    # Pause and resume

    async def pause(self, sandbox_id: str, mode: PauseMode = PauseMode.FULL, *, require_healthy: bool = False) -> None:
        """Raises ConflictError when it is paused already or changing, or does not answer although it has to."""
        live = self.fleet.find(sandbox_id)
        if live.record.state is SandboxState.PAUSED:
            raise ConflictError(f"Error pausing sandbox - sandbox '{live.id}' is already paused")
        try:
            with live.in_transition("pausing"):
                await self.on_leave(live.id)
                async with live.changing_network:
                    await self._pauser.pause(live, mode, at=self._clock.now(), require_healthy=require_healthy)
        finally:
            # Its time may have come during a pause that failed.
            self.on_lifetime_change()

    async def connect(self, sandbox_id: str, seconds: int, *, reboot: bool = False) -> tuple[SandboxRecord, bool]:
        """A running sandbox's life is extended, a paused one is resumed; the flag says which (True: resumed)."""
        self.check_timeout(seconds)
        live = self.fleet.find(sandbox_id)
        await live.settled()
        if self.fleet.get(sandbox_id) is not live:
            raise unknown_sandbox(sandbox_id)
        if live.record.state is SandboxState.RUNNING:
            await self._extend(live, seconds)
            return live.record, False
        await self._resume(live, seconds, reboot=reboot)
        return live.record, True

    async def resume(self, sandbox_id: str, seconds: int) -> SandboxRecord:
        """The older form of connect: only for paused sandboxes."""
        self.check_timeout(seconds)
        live = self.fleet.find(sandbox_id)
        await live.settled()
        if self.fleet.get(sandbox_id) is not live:
            raise unknown_sandbox(sandbox_id)
        if live.record.state is SandboxState.RUNNING:
            raise ConflictError(f"sandbox '{live.id}' is already running")
        await self._resume(live, seconds, reboot=False)
        return live.record

    async def wake(self, sandbox_id: str) -> bool:
        """Resume for traffic, when the sandbox's lifecycle allows that; False when it does not."""
        live = self.fleet.get(sandbox_id)
        if live is None:
            return False
        await live.settled()
        if self.fleet.get(sandbox_id) is not live:
            return False
        if live.record.state is SandboxState.RUNNING:
            return True
        if not live.record.lifecycle.auto_resume or live.record.pause_mode is PauseMode.FILESYSTEM:
            return False
        await self._resume(live, max(live.record.timeout, AUTO_RESUME_FLOOR), reboot=False)
        return True

    # Network

    async def update_network(self, sandbox_id: str, egress: NetworkSettings) -> None:
        """Replace the egress rules; who may reach the sandbox stays as it was."""
        live = self.fleet.find_running(sandbox_id)
        network = live.record.network.with_egress_of(egress)
        try:
            if network.needs_authority and not live.record.network.needs_authority:
                await self._booter.install_authority(live.record, live.machine)
            # A pause waits for the end of this: it goes by what is on record.
            async with live.changing_network:
                self.fleet.find_running(sandbox_id)
                await live.machine.set_network(network.policy())
                self.fleet.find(sandbox_id)
                await self._update(live, network=network)
        except Exception:
            # One that was killed meanwhile is not found, whatever failed for want of it.
            self.fleet.find(sandbox_id)
            raise

    # Helpers

    async def _end(self, live: LiveSandbox) -> None:
        await self.on_leave(live.id)
        await live.settled()
        await self.before_kill(live)
        if live.running_machine is not None:
            await live.running_machine.kill()
        await self._isolation.discard(live.id)

    async def _go_live(self, live: LiveSandbox, seconds: int) -> None:
        now = self._clock.now()
        running = replace(
            live.record, state=SandboxState.RUNNING, started_at=now, end_at=now + timedelta(seconds=seconds)
        )
        await self._records.write(running)
        live.record = running
        self.fleet.add(live)
        self.on_lifetime_change()

    async def _resume(self, live: LiveSandbox, seconds: int, *, reboot: bool) -> None:
        with self._room(), live.in_transition("resuming"):
            await self._pauser.resume(live, self._clock, seconds=seconds, reboot=reboot)
        self.on_lifetime_change()

    async def _extend(self, live: LiveSandbox, seconds: int) -> None:
        end_at = self._end_from_now(live.record, seconds)
        if end_at > live.record.end_at:
            await self._update(live, end_at=end_at)
            self.on_lifetime_change()

    async def _update(self, live: LiveSandbox, **changes: object) -> None:
        # In memory first: a second change that comes while this one is being written must build upon it.
        live.record = replace(live.record, **changes)  # type: ignore[arg-type]
        await self._records.write(live.record)

    def _end_from_now(self, record: SandboxRecord, seconds: int) -> datetime:
        latest = record.started_at + timedelta(seconds=self._quotas.max_timeout)
        return min(self._clock.now() + timedelta(seconds=seconds), latest)

    def check_timeout(self, seconds: int) -> None:
        """Raises InvalidRequestError for a life longer than any may be."""
        if seconds > self._quotas.max_timeout:
            hours = self._quotas.max_timeout / 3600
            raise InvalidRequestError(f"Timeout cannot be greater than {hours:g} hours")

    def _runs(self, live: LiveSandbox) -> bool:
        return self.fleet.get(live.id) is live and live.is_running

    @contextlib.contextmanager
    def _coming_to_be(self, record: SandboxRecord) -> Iterator[None]:
        """Nobody finds the sandbox while the block runs, but what it is made of has to stay."""
        self._to_be[record.id] = record
        try:
            yield
        finally:
            del self._to_be[record.id]

    def _room(self) -> contextlib.AbstractContextManager[None]:
        """Room for one sandbox more, held while it starts. Raises TooManyError."""
        return self._quotas.starting(sum(live.is_running for live in self.fleet))


def new_sandbox_id() -> str:
    return "i" + "".join(secrets.choice(_ID_LETTERS) for _ in range(20))


async def _nothing(_sandbox: object) -> None:
    return


__all__ = ["SandboxService", "new_sandbox_id"]
