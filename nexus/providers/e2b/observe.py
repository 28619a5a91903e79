"""One look at everything that is recorded: what is there, in which state, and until when.

Lists may omit what is just starting, so an absence is confirmed by asking for the object itself. What can't be read is
UNKNOWN and never GONE; where nobody may read anything (a wrong key, no connection) there is no observation at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import Final

from e2b import SandboxInfo, SandboxState
from e2b.exceptions import SandboxNotFoundException

from nexus.kinds.template_fields import SPEC_TAG
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import ResourceRecord, State
from nexus.planning.situation import MADE_FROM_FACT, REMAINS_FACT, SIZE_FACT
from nexus.providers.e2b import errors
from nexus.providers.e2b.accounts import list_sandboxes, list_templates
from nexus.providers.e2b.metadata import scope, users_own
from nexus.providers.e2b.shared_setup import find_snapshot
from nexus.providers.e2b.template import DEFAULT_TAG, find_build
from nexus.providers.e2b.world import World, moment_of, timestamp

_AT_ONCE: Final = 10
_FATAL: Final = frozenset({errors.PERMISSION_DENIED, "unreachable"})


async def observe(
    world: World, state: State, catalogue: Mapping[Address, str], *, count_all: bool = False
) -> Observation:
    """See :meth:`nexus.providers.base.Provider.observe`."""
    observer = _Observer(world, state, count_all=count_all)
    by_kind: dict[str, list[ResourceRecord]] = {}
    for record in (*state.resources.values(), *state.deposed):
        by_kind.setdefault(record.address.kind, []).append(record)
    async with asyncio.TaskGroup() as group:
        for kind, look in observer.looks().items():
            records = by_kind.get(kind, [])
            if records or (count_all and kind == "sandbox"):
                group.create_task(look(records))
        for address, reference in catalogue.items():
            group.create_task(observer.catalogue(address, reference))
    return Observation(
        records=observer.found,
        catalogue=observer.templates,
        diagnostics=tuple(observer.diagnostics),
        running=observer.running,
    )


class _Observer:
    def __init__(self, world: World, state: State, *, count_all: bool) -> None:
        self._world = world
        self._state = state
        self._count_all = count_all
        self.running: int | None = None
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.found: dict[str, Observed] = {}
        self.templates: dict[Address, Observed] = {}
        self.diagnostics: list[Diagnostic] = []

    def looks(self) -> Mapping[str, Callable[[list[ResourceRecord]], Coroutine[None, None, None]]]:
        return {
            "sandbox": self._sandboxes,
            "template": self._templates,
            "setup": self._setups,
            "volume": self._volumes,
            "step": self._steps,
        }

    async def _sandboxes(self, records: list[ResourceRecord]) -> None:
        """One list for all; a request of its own only for those that the list does not have."""
        ours = scope(self._state.project, self._state.environment)
        infos = await list_sandboxes(self._world.connection, {} if self._count_all else ours)
        if self._count_all:
            self.running = sum(info.state is SandboxState.RUNNING for info in infos)
        listed = {info.sandbox_id: info for info in infos}
        for record in records:
            if record.id in listed:
                self.found[record.uid] = _seen(listed[record.id])
        await self._each([record for record in records if record.id not in listed], self._unlisted)

    async def _unlisted(self, record: ResourceRecord) -> Observed:
        try:
            return _seen(await self._world.connection.client.AsyncSandbox.get_info(record.id))
        except SandboxNotFoundException:
            return Observed(id=record.id, presence=self._absence(record))

    def _absence(self, record: ResourceRecord) -> Presence:
        over = record.expires_at is not None and moment_of(record.expires_at) <= self._world.now()
        return Presence.EXPIRED if over else Presence.GONE

    async def _templates(self, records: list[ResourceRecord]) -> None:
        listed = await list_templates(self._world.connection)

        async def look(record: ResourceRecord) -> Observed:
            template = listed.get(record.id)
            if template is None:
                return Observed(id=record.id, presence=Presence.GONE)
            tags = await self._world.connection.client.AsyncTemplate.get_tags(record.id)
            wanted = str(record.attributes.get("reference", "")).rpartition(":")[2]
            build_id = next((item.build_id for item in tags if item.tag == wanted), None)
            if build_id is None:
                return Observed(id=record.id, presence=Presence.GONE, facts={REMAINS_FACT: True})
            own = sorted(item.tag for item in tags if item.build_id == build_id and _is_users(item.tag))
            return Observed(id=record.id, presence=Presence.READY, facts={"tags": own, "public": template.public})

        await self._each(records, look)

    async def _setups(self, records: list[ResourceRecord]) -> None:
        async def look(record: ResourceRecord) -> Observed:
            if await find_snapshot(self._world, str(record.attributes.get("reference", record.id))) is not None:
                return Observed(id=record.id, presence=Presence.READY)
            rest = await find_build(self._world, str(record.attributes.get("name", record.id)), "")
            return Observed(id=record.id, presence=Presence.GONE, facts={REMAINS_FACT: rest is not None})

        await self._each(records, look)

    async def _volumes(self, records: list[ResourceRecord]) -> None:
        listed = {volume.volume_id for volume in await self._world.connection.client.AsyncVolume.list()}
        for record in records:
            presence = Presence.READY if record.id in listed else Presence.GONE
            self.found[record.uid] = Observed(id=record.id, presence=presence)

    async def _steps(self, records: list[ResourceRecord]) -> None:
        """A run that took place can't go away; what it left lies in its sandbox."""
        for record in records:
            self.found[record.uid] = Observed(id=record.id, presence=Presence.READY)

    async def catalogue(self, address: Address, reference: str) -> None:
        name, _, tag = reference.rpartition(":")
        async with self._slots:
            build = await find_build(self._world, name, tag)
        if build is not None and build.ready:
            self.templates[address] = Observed(
                id=build.template_id,
                presence=Presence.READY,
                facts={"reference": reference, "build_id": build.build_id},
            )

    async def _each(
        self, records: Iterable[ResourceRecord], look: Callable[[ResourceRecord], Awaitable[Observed]]
    ) -> None:
        """Look at each on its own: what goes wrong with one says nothing of the others."""

        async def one(record: ResourceRecord) -> None:
            async with self._slots:
                try:
                    self.found[record.uid] = await look(record)
                except Exception as problem:
                    self.found[record.uid] = Observed(id=record.id, presence=Presence.UNKNOWN)
                    self._note(errors.translate(problem, str(record.address)).diagnostic, problem)

        async with asyncio.TaskGroup() as group:
            for record in records:
                group.create_task(one(record))

    def _note(self, diagnostic: Diagnostic, problem: Exception) -> None:
        if diagnostic.code in _FATAL:
            raise problem
        self.diagnostics.append(
            Diagnostic(
                severity=Severity.WARNING,
                code="not-observed",
                summary="An object could not be looked at",
                detail=f"{diagnostic.summary}. {diagnostic.detail}".strip(),
                hint="what is recorded of it is believed; try again later",
                address=diagnostic.address,
            )
        )


def _seen(info: SandboxInfo) -> Observed:
    running = info.state is SandboxState.RUNNING
    return Observed(
        id=info.sandbox_id,
        presence=Presence.RUNNING if running else Presence.PAUSED,
        expires_at=timestamp(info.end_at) if running else None,
        facts={
            "metadata": users_own(info.metadata),
            MADE_FROM_FACT: (info.name or info.template_id).rpartition("/")[2],
            SIZE_FACT: [info.cpu_count, info.memory_mb],
        },
    )


def _is_users(tag: str) -> bool:
    return tag != DEFAULT_TAG and not tag.startswith(SPEC_TAG)
