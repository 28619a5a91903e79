"""A sandbox service whose machines are only noted, and whose steps can be held at any moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TypeVar, cast

from nexus.local.isolation.base import Isolation, Machine, NetworkPolicy
from nexus.local.limits.model import Limits
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.booting import Booter
from nexus.local.sandboxes.fleet import Fleet, LiveSandbox
from nexus.local.sandboxes.model import Bootable, SandboxRecord, SandboxRequest, VolumeMount
from nexus.local.sandboxes.pausing import Pauser
from nexus.local.sandboxes.records import SandboxRecords
from nexus.local.sandboxes.service import SandboxService
from nexus.local.sandboxes.volumes import VolumeRegistry
from nexus.local.secrets import Vault
from nexus.local.storage.retention import Retention
from nexus.local.storage.space import DiskLimits, DiskSpace
from tests.local.fakes.clock import ManualClock

Result = TypeVar("Result")
LAYER = "layer"


class Gate:
    """One step that waits, once it has been reached, until it may go on."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.may_go_on = asyncio.Event()


class Steps:
    """What machines are asked for, step by step."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    def hold(self, step: str) -> Gate:
        return self._gates.setdefault(step, Gate())

    async def at(self, step: str) -> None:
        if (gate := self._gates.get(step)) is not None:
            gate.reached.set()
            await gate.may_go_on.wait()


class _Machine:
    def __init__(self, machine_id: str, steps: Steps, alive: dict[str, _Machine]) -> None:
        self.id = machine_id
        self._steps = steps
        self._alive = alive
        self.is_frozen = False

    async def pause(self) -> None:
        await self._steps.at("pause")
        self.is_frozen = True

    async def resume(self) -> None:
        await self._steps.at("resume")
        self.is_frozen = False

    async def kill(self) -> None:
        await self._steps.at("kill")
        self._alive.pop(self.id, None)

    async def set_network(self, _policy: NetworkPolicy) -> None:
        await self._steps.at("set_network")


class _Isolation:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self.alive: dict[str, _Machine] = {}

    async def attach(self, machine_id: str) -> _Machine | None:
        await self._steps.at("attach")
        return self.alive.get(machine_id)

    async def discard(self, _machine_id: str) -> None:
        await self._steps.at("discard")


class _Booter:
    def __init__(self, isolation: _Isolation, steps: Steps) -> None:
        self._isolation = isolation
        self._steps = steps

    async def boot(self, record: SandboxRecord, _env_vars: Mapping[str, str]) -> _Machine:
        await self._steps.at("boot")
        machine = self._isolation.alive[record.id] = _Machine(record.id, self._steps, self._isolation.alive)
        return machine

    async def reboot(self, record: SandboxRecord, env_vars: Mapping[str, str]) -> _Machine:
        return await self.boot(record, env_vars)

    async def scrap(self, machine: Machine) -> None:
        await machine.kill()


class _Templates:
    def resolve(self, reference: str) -> Bootable:
        return Bootable(
            template_id=reference, build_id="b", alias=reference, layers=(LAYER,), cpu_count=1, memory_mb=128
        )

    def matches(self, reference: str, template_id: str) -> bool:
        return reference == template_id

    def note_use(self, template_id: str, at: datetime) -> None:
        pass


class ServiceBench:
    """``steps`` are boot, attach, discard, pause, resume, kill and set_network."""

    def __init__(self, folder: Path) -> None:
        self.steps, self.fleet, self.clock = Steps(), Fleet(), ManualClock()
        self.retention, self.quotas = Retention(), Quotas(Limits(), self.clock)
        self.records = SandboxRecords(folder / "sandboxes", Vault("key"))
        self.volumes = VolumeRegistry(folder / "volumes", None)
        self.records.open()
        self.volumes.open()
        self._isolation = isolation = _Isolation(self.steps)
        booter = cast("Booter", _Booter(isolation, self.steps))
        self.service = SandboxService(
            fleet=self.fleet,
            isolation=cast("Isolation", isolation),
            booter=booter,
            pauser=Pauser(booter, self.records),
            records=self.records,
            templates=_Templates(),
            volumes=self.volumes,
            clock=self.clock,
            quotas=self.quotas,
            retention=self.retention,
            space=DiskSpace(folder, [], DiskLimits(min_free_mb=0)),
        )

        self.retention.add_source(self.service.needed_layers)

    def close(self) -> None:
        self.volumes.close()

    async def create(self, *mounts: VolumeMount) -> LiveSandbox:
        request = SandboxRequest(template="t", timeout=60, volume_mounts=mounts)
        return self.fleet.find((await self.service.create(request, "isandbox")).id)

    @property
    def running(self) -> list[str]:
        """The machines that are there and not frozen."""
        return [machine.id for machine in self._isolation.alive.values() if not machine.is_frozen]

    async def while_held(
        self, step: str, work: Awaitable[Result], meanwhile: Callable[[], Awaitable[object]]
    ) -> Result:
        """Do ``work`` up to ``step``, then all of ``meanwhile``, then the rest."""
        gate = self.steps.hold(step)
        working = asyncio.ensure_future(work)
        await gate.reached.wait()
        await meanwhile()
        gate.may_go_on.set()
        return await working
