"""Everything of a project that is out there, told by itself: the marks of sandboxes and the receipts inside them, the
names of templates and volumes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from e2b import SandboxInfo, SandboxState
from e2b.exceptions import SandboxNotFoundException

from nexus.kinds.shared_setup import KIND as SETUP
from nexus.kinds.shared_setup import setup_of_name
from nexus.model.addresses import Address, AddressError
from nexus.model.observation import Presence
from nexus.model.state import ResourceRecord
from nexus.model.values import Attributes, Value
from nexus.providers.base import Inventory, Live, ProviderError
from nexus.providers.e2b import marking
from nexus.providers.e2b.accounts import list_sandboxes, list_templates
from nexus.providers.e2b.adoption import examine
from nexus.providers.e2b.metadata import (
    ADDRESS,
    ENV,
    ENV_UNIT,
    LINEAGE,
    OPERATION,
    SPEC,
    UID,
    scope,
    users_own,
)
from nexus.providers.e2b.receipts import Receipt
from nexus.providers.e2b.sandbox.endings import is_released
from nexus.providers.e2b.template import DEFAULT_TAG
from nexus.providers.e2b.urls import urls_of
from nexus.providers.e2b.world import World, timestamp

_AT_ONCE: Final = 10
_NAMED: Final = ("template", "volume", SETUP)


async def take(
    world: World,
    project: str,
    environment: str,
    named: Mapping[Address, str],
    adopted: Mapping[Address, str],
) -> Inventory:
    """See :meth:`nexus.providers.base.Provider.inventory`."""
    wanted = {kind: {item: name for item, name in named.items() if item.kind == kind} for kind in _NAMED}
    async with asyncio.TaskGroup() as group:
        sandboxes = group.create_task(_sandboxes(world, project, environment, frozenset(adopted.values())))
        others = group.create_task(_adopted(world, adopted))
        templates = group.create_task(_templates(world, wanted["template"]))
        setups = group.create_task(_setups(world, project, environment, wanted[SETUP]))
        volumes = group.create_task(_volumes(world, wanted["volume"]))
    prefix = f"{project}--{environment}--".lower()
    claimed = set(named.values())
    names = (*templates.result()[1], *volumes.result()[1])
    return Inventory(
        live=(*volumes.result()[0], *templates.result()[0], *setups.result(), *sandboxes.result(), *others.result()),
        unclaimed=tuple(sorted(name for name in names if name.startswith(prefix) and name not in claimed)),
    )


async def outputs_of(world: World, record: ResourceRecord) -> Attributes:
    """See :meth:`nexus.providers.base.Provider.outputs_of`."""
    attributes = record.attributes
    if record.address.kind != "sandbox":
        return {**record.outputs, "address": str(record.address), "id": record.id}
    shown = {name: attributes.get(name) for name in ("template", "timeout", "user", "ports", "metadata")}
    ports = attributes.get("ports")
    numbers = {name: port for name, port in ports.items() if isinstance(port, int)} if isinstance(ports, dict) else {}
    urls = await urls_of(world.connection, record.id, numbers)
    return {"address": str(record.address), "id": record.id, **shown, "urls": urls}


# ---- sandboxes


async def _sandboxes(world: World, project: str, environment: str, adopted: frozenset[str]) -> list[Live]:
    """Those with marks, but for forks of them that were ``adopted`` under addresses of their own."""
    listed = await list_sandboxes(world.connection, scope(project, environment), order="asc")
    listed = [info for info in listed if info.sandbox_id not in adopted]
    slots = asyncio.Semaphore(_AT_ONCE)

    async def look(info: SandboxInfo) -> Live | None:
        async with slots:
            return await _look(world, info)

    return [item for item in await asyncio.gather(*map(look, listed)) if item is not None]


async def _look(world: World, info: SandboxInfo) -> Live | None:
    """One sandbox, as its marks and its receipt tell; None for what bears other marks, or was let go."""
    marks = info.metadata
    try:
        address = Address.parse(marks.get(ADDRESS, ""))
    except AddressError:
        return None
    is_taken = await _is_taken(world, info.sandbox_id)
    if is_taken is None:
        return None
    uid, setup, receipt = marks.get(UID, ""), {ENV_UNIT: marks[ENV]} if ENV in marks else {}, None
    running = info.state is SandboxState.RUNNING
    if running:
        try:
            receipt = await (await world.sandboxes.open(info.sandbox_id, str(address))).peek()
            if receipt.uid == uid or receipt.is_own(info.sandbox_id):
                setup.update((name, entry.digest) for name, entry in receipt.units.items())
        except ProviderError:
            pass  # it does not answer, or is paused by now
    is_copy = None if receipt is None else receipt.tells_copy(info.sandbox_id, uid)
    return Live(
        address=address,
        id=info.sandbox_id,
        uid=uid,
        key=marks.get(OPERATION, ""),
        lineage=marks.get(LINEAGE, ""),
        spec="" if is_copy else marks.get(SPEC, ""),
        is_copy=is_copy,
        is_taken=is_taken,
        setup=setup,
        looked_inside=receipt is not None,
        running=running,
        created_at=timestamp(info.started_at),
        expires_at=timestamp(info.end_at) if running else None,
        lifetime=int((info.end_at - info.started_at).total_seconds()),
        facts=_facts(info),
    )


async def _is_taken(world: World, sandbox_id: str) -> bool | None:
    """Whether it was taken from a pool; None for what was let go, although its metadata still names us, or is gone."""
    try:
        info = await world.connection.client.AsyncSandbox.get_info(sandbox_id)
    except SandboxNotFoundException:
        return None
    return None if is_released(info) else marking.bears(info, marking.TAKEN)


async def _adopted(world: World, wanted: Mapping[Address, str]) -> list[Live]:
    """Sandboxes that were imported. They bear no marks of their own; the receipt of what was done in them tells whose
    they are. The marks of another are those of a fork, unless the sandbox itself denies it.
    """
    found: list[Live] = []
    for address, seen in (await examine(world, wanted)).items() if wanted else ():
        is_ours = not seen.facts.get("owner") or seen.facts.get("is_copy") is not False
        if seen.presence not in (Presence.RUNNING, Presence.PAUSED) or not is_ours:
            continue
        running = seen.presence is Presence.RUNNING
        receipt = await (await world.sandboxes.open(seen.id, str(address))).peek() if running else Receipt()
        is_own = receipt.address == str(address) and (receipt.origin is None or receipt.is_own(seen.id))
        lifetime = seen.facts.get("timeout")
        found.append(
            Live(
                address=address,
                id=seen.id,
                uid=receipt.uid if is_own else "",
                setup={name: entry.digest for name, entry in receipt.units.items()} if is_own else {},
                looked_inside=running,
                running=running,
                expires_at=seen.expires_at,
                lifetime=lifetime if isinstance(lifetime, int) else 0,
                facts=dict(seen.facts),  # type: ignore[arg-type]  # facts are normalised like attributes
            )
        )
    return found


def _facts(info: SandboxInfo) -> dict[str, Value]:
    metadata: dict[str, Value] = dict(users_own(info.metadata))
    volumes: dict[str, Value] = {mount["path"]: mount["name"] for mount in info.volume_mounts if "name" in mount}
    return {"template": info.name or info.template_id, "metadata": metadata, "volumes": volumes}


# ---- what is known by its name


async def _templates(world: World, wanted: Mapping[Address, str]) -> tuple[list[Live], list[str]]:
    listed = await list_templates(world.connection)
    by_name = {name.rpartition("/")[2]: item for item in listed.values() for name in item.names}
    found: list[Live] = []
    for address, name in wanted.items():
        template = by_name.get(name)
        if template is None:
            continue
        tags = await world.connection.client.AsyncTemplate.get_tags(template.template_id)
        builds: dict[str, Value] = {item.tag: item.build_id for item in tags if item.tag != DEFAULT_TAG}
        facts: dict[str, Value] = {"name": name, "builds": builds, "public": template.public}
        created_at = timestamp(template.created_at)
        found.append(Live(address=address, id=template.template_id, created_at=created_at, facts=facts))
    return found, list(by_name)


async def _setups(world: World, project: str, environment: str, wanted: Mapping[Address, str]) -> list[Live]:
    """The snapshots of shared setups, of blocks that are gone, too. There may be several of one, with a tag for each
    state of its inputs.
    """
    known = {name: address for address, name in wanted.items()}
    found: list[Live] = []
    pages = world.connection.client.AsyncSandbox.list_snapshots()
    while pages.has_next:
        for snapshot in await pages.next_items():
            name, _, tag = snapshot.snapshot_id.rpartition("/")[2].rpartition(":")
            address = known.get(name) or setup_of_name(project, environment, name)
            if address is not None:
                facts: dict[str, Value] = {"name": name, "reference": f"{name}:{tag}"}
                found.append(Live(address=address, id=snapshot.snapshot_id, facts=facts))
    return found


async def _volumes(world: World, wanted: Mapping[Address, str]) -> tuple[list[Live], list[str]]:
    listed = {volume.name: volume.volume_id for volume in await world.connection.client.AsyncVolume.list()}
    found = [
        Live(address=address, id=listed[name], facts={"name": name})
        for address, name in wanted.items()
        if name in listed
    ]
    return found, list(listed)
