"""From a record to a machine: start it, run the template's start command, and wait for its ready command.

E2B keeps the memory of a finished build, with the start command running in it. Layers hold files alone, so here every
boot runs the start command again.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from nexus.local.envd.config import EnvdConfig
from nexus.local.errors import EngineError
from nexus.local.guest import Command, Guest, GuestError
from nexus.local.isolation.base import Isolation, Limits, Machine, MachineSpec
from nexus.local.sandboxes.model import Bootable, SandboxRecord
from nexus.local.sandboxes.volumes import VolumeRegistry
from nexus.local.storage.layout import SNAPSHOT_PREFIX

START_TAG = "nexus-start-command"
IDENTITY_VARIABLES = frozenset({"E2B_SANDBOX", "E2B_SANDBOX_ID", "E2B_TEMPLATE_ID"})
_PARALLEL_STARTS = 8
_FIRST_POLL, _LAST_POLL = 0.05, 1.0


@dataclass(frozen=True, slots=True)
class Readiness:
    """How long, in seconds, a ready command may go on failing."""

    limit: float = 45.0


class Booter:
    """Makes machines for sandboxes. ``token_of`` gives a sandbox's envd access token.

    ``authority`` is the certificate (PEM) that sandboxes with network rules have to trust.
    """

    def __init__(
        self,
        isolation: Isolation,
        volumes: VolumeRegistry,
        token_of: Callable[[str], str],
        readiness: Readiness,
        extra_env: Mapping[str, str],
        authority: str,
    ) -> None:
        self._isolation = isolation
        self._volumes = volumes
        self._token_of = token_of
        self._readiness = readiness
        self._extra_env = extra_env
        self._authority = authority
        self._starting = asyncio.Semaphore(_PARALLEL_STARTS)

    def guest(self, record: SandboxRecord, machine: Machine) -> Guest:
        return Guest(machine.envd_socket, self._token_of(record.id))

    async def boot(self, record: SandboxRecord, env_vars: Mapping[str, str]) -> Machine:
        """Start the sandbox's first machine and return once it is ready. On failure nothing is left behind."""
        # What stands on a snapshot has been booted before: it can tell that this is another boot.
        is_copy = any(layer.startswith(SNAPSHOT_PREFIX) for layer in record.layers)
        try:
            return await self._start(self._spec(record, env_vars, _new_boot_id() if is_copy else None), record)
        except BaseException:
            await self._isolation.discard(record.id)
            raise

    async def reboot(self, record: SandboxRecord, env_vars: Mapping[str, str]) -> Machine:
        """Start a machine on what an earlier one of the sandbox has written, which stays there on failure."""
        return await self._start(self._spec(record, env_vars, _new_boot_id()), record)

    async def read_envs(self, record: SandboxRecord, machine: Machine) -> dict[str, str]:
        """The variables that the sandbox was given; envd is the only one who knows them. Raises GuestError, OSError."""
        found = await self.guest(record, machine).get_json("/envs")
        if not isinstance(found, dict):
            raise GuestError("internal", "envd did not say which environment variables it has")
        # Those by which a sandbox knows itself are made anew for each.
        return {str(key): str(value) for key, value in found.items() if key not in IDENTITY_VARIABLES}

    async def _start(self, spec: MachineSpec, record: SandboxRecord) -> Machine:
        async with self._starting:
            machine = await self._isolation.start(spec)
        try:
            if record.network.needs_authority:
                await self.install_authority(record, machine)
            await run_start_command(self.guest(record, machine), record.bootable, self._readiness.limit)
        except BaseException:
            await machine.kill()
            raise
        return machine

    async def install_authority(self, record: SandboxRecord, machine: Machine) -> None:
        """Have the programs of a sandbox trust the relay. Raises EngineError."""
        try:
            await self.guest(record, machine).configure({"caBundle": self._authority})
        except (GuestError, OSError) as error:
            raise EngineError(f"the certificates for network rules could not be installed: {error}") from error

    async def scrap(self, machine: Machine) -> None:
        """End a machine and what it wrote."""
        await machine.kill()
        await self._isolation.discard(machine.id)

    def _spec(self, record: SandboxRecord, env_vars: Mapping[str, str], boot_id: str | None) -> MachineSpec:
        bootable = record.bootable
        return MachineSpec(
            id=record.id,
            hostname=record.id,
            layers=record.layers,
            envd=EnvdConfig(
                sandbox_id=record.id,
                template_id=bootable.template_id,
                access_token=self._token_of(record.id),
                default_user=bootable.default_user,
                workdir=bootable.workdir,
                env_vars=dict(env_vars),
                extra_env=dict(self._extra_env),
            ),
            network=record.network.policy(),
            limits=Limits(cpu_count=bootable.cpu_count, memory_mb=bootable.memory_mb),
            volumes=self._volumes.locate(record.volume_mounts),
            boot_id=boot_id,
        )


def _new_boot_id() -> str:
    return str(uuid.uuid4())


async def run_start_command(guest: Guest, bootable: Bootable, limit: float) -> None:
    """Start the template's command in the background and wait until the ready command exits 0.

    Raises EngineError when it has not within ``limit`` seconds.
    """
    if bootable.start_cmd:
        await guest.launch(_as_template(bootable, bootable.start_cmd, START_TAG))
    if bootable.ready_cmd:
        await wait_until_ready(guest, _as_template(bootable, bootable.ready_cmd), limit)


async def wait_until_ready(guest: Guest, command: Command, limit: float) -> None:
    """Run ``command`` again and again, at growing intervals, until it exits 0."""
    deadline = time.monotonic() + limit
    pause = _FIRST_POLL
    while (remaining := deadline - time.monotonic()) > 0:
        with contextlib.suppress(GuestError):
            if await guest.run(command, lambda _stream, _piece: None, limit=remaining) == 0:
                return
        await asyncio.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(pause * 2, _LAST_POLL)
    raise EngineError(f"the template's ready command did not succeed within {limit:g} seconds")


def _as_template(bootable: Bootable, text: str, tag: str | None = None) -> Command:
    return Command(
        text=text, user=bootable.default_user, cwd=bootable.workdir, envs=dict(bootable.template_env), tag=tag
    )
