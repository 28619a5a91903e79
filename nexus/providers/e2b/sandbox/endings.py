"""How a sandbox ends: killed, killed once a snapshot of it exists, or left in the account, paused.

A sandbox that is left keeps the metadata that nexus gave it. So that nobody takes it for one of the project's later, it
gets a mark (``marking.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from e2b import SandboxInfo, SandboxState
from e2b.exceptions import SandboxNotFoundException
from e2b.sandbox.sandbox_api import SandboxNetworkUpdate

from nexus.kinds.naming import e2b_name
from nexus.model.resources import OnDestroy
from nexus.model.state import ResourceRecord
from nexus.model.values import Value
from nexus.providers.base import Call, Result
from nexus.providers.e2b import marking
from nexus.providers.e2b.world import World, record_of

_LONG_ENOUGH: Final = 120
"""Seconds that a paused sandbox is woken for, where something has to be done to it before it ends."""


async def delete(world: World, call: Call) -> Result:
    """End a sandbox as the operation's unit says. One that is gone already is no failure."""
    found = record_of(call)
    world.sandboxes.forget(found.id)
    note = ""
    match call.operation.unit:
        case OnDestroy.PAUSE:
            return await _release(world, call, found)
        case OnDestroy.SNAPSHOT:
            note = await _snapshot(world, call, found)
    killed = await world.connection.client.AsyncSandbox.kill(found.id)
    return Result(None, unchanged=not killed and not note, note=note)


def is_released(info: SandboxInfo) -> bool:
    """The same of one that was looked at by itself: lists don't tell of networks."""
    return marking.bears(info, marking.RELEASED)


async def _release(world: World, call: Call, found: ResourceRecord) -> Result:
    """Mark it, pause it. What was done once is not done again, so that this can be repeated."""
    client = world.connection.client.AsyncSandbox
    info = await _awake(world, found.id, unless=is_released)
    if info is None:
        return Result(None, unchanged=True)
    if not is_released(info):
        call.report.progress("marking it as released")
        await client.update_network(found.id, _marked(found))
    if info.state is SandboxState.RUNNING:
        call.report.progress("pausing")
        await client.pause(found.id)
    return Result(None, note=f"sandbox {found.id} is left paused in the account")


async def _snapshot(world: World, call: Call, found: ResourceRecord) -> str:
    """Make a snapshot under a name that only this incarnation has: making it again only makes it newer."""
    if await _awake(world, found.id) is None:
        return ""
    name = f"{e2b_name(call.project, call.environment, call.address.group)}--{found.uid[:12]}"
    call.report.progress(f"taking the snapshot {name}")
    try:
        snapshot = await world.connection.client.AsyncSandbox.create_snapshot(found.id, name=name)
    except SandboxNotFoundException:
        raise await world.sandboxes.explain(found.id, str(call.address)) from None
    return f"snapshot {snapshot.snapshot_id} ({name}) is kept"


def _never(_info: SandboxInfo) -> bool:
    return False


async def _awake(
    world: World, sandbox_id: str, *, unless: Callable[[SandboxInfo], bool] = _never
) -> SandboxInfo | None:
    """The sandbox, woken where it is paused; None when it is gone."""
    client = world.connection.client.AsyncSandbox
    try:
        info = await client.get_info(sandbox_id)
        if info.state is SandboxState.PAUSED and not unless(info):
            await client.connect(sandbox_id, timeout=_LONG_ENOUGH)
            info = await client.get_info(sandbox_id)
    except SandboxNotFoundException:
        return None
    return info


def _marked(found: ResourceRecord) -> SandboxNetworkUpdate:
    """The rules that it has, and the mark."""
    network = found.attributes.get("network")
    rules = network if isinstance(network, dict) else {}
    allow, deny = (_texts(rules.get(name)) for name in ("allow", "deny"))
    return marking.marked(allow, deny, marking.RELEASED)


def _texts(value: Value) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list) else []
