"""Sandboxes that nexus may not have made, looked at by their ids before a block takes them over."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Final

from e2b import SandboxInfo, SandboxState
from e2b.exceptions import SandboxNotFoundException

from nexus.model.addresses import Address
from nexus.model.observation import Observed, Presence
from nexus.planning.situation import SIZE_FACT
from nexus.providers.base import ProviderError
from nexus.providers.e2b.accounts import list_templates
from nexus.providers.e2b.metadata import ADDRESS, ENVIRONMENT, PROJECT, UID, users_own
from nexus.providers.e2b.network_rules import network_of
from nexus.providers.e2b.world import World, timestamp

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""Anything else would be another path of the API."""


async def examine(world: World, wanted: Mapping[Address, str]) -> Mapping[Address, Observed]:
    """See :meth:`nexus.providers.base.Provider.examine`."""
    names = {item.template_id: item.names for item in (await list_templates(world.connection)).values()}

    async def look(live_id: str) -> Observed:
        if not _ID.fullmatch(live_id):
            return Observed(id=live_id, presence=Presence.GONE)
        try:
            info = await world.connection.client.AsyncSandbox.get_info(live_id)
        except SandboxNotFoundException:
            return Observed(id=live_id, presence=Presence.GONE)
        return _seen(info, names.get(info.template_id, []), await _is_copy(world, info))

    found = await asyncio.gather(*(look(live_id) for live_id in wanted.values()))
    return dict(zip(wanted, found, strict=True))


async def _is_copy(world: World, info: SandboxInfo) -> bool | None:
    """What the inside of a sandbox with marks tells; None where it can't be asked."""
    if PROJECT not in info.metadata or info.state is not SandboxState.RUNNING:
        return None
    try:
        receipt = await (await world.sandboxes.open(info.sandbox_id, "")).peek()
    except ProviderError:
        return None
    return receipt.tells_copy(info.sandbox_id, info.metadata.get(UID, ""))


def _seen(info: SandboxInfo, names: list[str], is_copy: bool | None) -> Observed:
    running = info.state is SandboxState.RUNNING
    lifecycle = info.lifecycle or {"on_timeout": "kill", "auto_resume": False}
    known = [
        *([info.name] if info.name else []),
        info.template_id,
        *names,
        *(name.rpartition("/")[2] for name in names),
    ]
    return Observed(
        id=info.sandbox_id,
        presence=Presence.RUNNING if running else Presence.PAUSED,
        expires_at=timestamp(info.end_at) if running else None,
        facts={
            "templates": list(dict.fromkeys(known)),
            "timeout": int((info.end_at - info.started_at).total_seconds()),
            "metadata": users_own(info.metadata),
            "on_timeout": lifecycle["on_timeout"],
            "auto_resume": lifecycle["auto_resume"],
            "volumes": {mount["path"]: mount["name"] for mount in info.volume_mounts},
            "network": network_of(info),
            "owner": _owner(info.metadata),
            "uid": info.metadata.get(UID, ""),
            "is_copy": is_copy,
            SIZE_FACT: [info.cpu_count, info.memory_mb],
        },
    )


def _owner(marks: Mapping[str, str]) -> str:
    if PROJECT not in marks:
        return ""
    return f"{marks.get(ADDRESS, 'a sandbox')} of {marks[PROJECT]}, environment {marks.get(ENVIRONMENT, '')}"
