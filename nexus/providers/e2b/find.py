"""What interrupted creates have left: found by the marks that nexus puts on everything it makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from e2b import SandboxInfo

from nexus.kinds.naming import e2b_name
from nexus.kinds.template_fields import SPEC_TAG
from nexus.model.state import Intent, State
from nexus.model.values import Value
from nexus.providers.base import LEASE_SECONDS, Found
from nexus.providers.e2b.accounts import list_sandboxes
from nexus.providers.e2b.metadata import OPERATION, scope
from nexus.providers.e2b.shared_setup import find_snapshot
from nexus.providers.e2b.template import delete_template, find_build
from nexus.providers.e2b.urls import urls_of
from nexus.providers.e2b.volume import find_volume
from nexus.providers.e2b.world import World, timestamp

_SLACK: Final = 5
"""Seconds between a create and the moment from which its time counts."""


async def find(world: World, state: State, intents: Sequence[Intent]) -> Mapping[str, tuple[Found, ...]]:
    """See :meth:`nexus.providers.base.Provider.find`."""
    return {intent.key: await _find(world, state, intent) for intent in intents}


async def discard(world: World, intent: Intent, found: Found) -> None:
    """See :meth:`nexus.providers.base.Provider.discard`. The catalogue's templates belong to the account and stay."""
    match intent.address.kind:
        case "sandbox":
            await world.connection.client.AsyncSandbox.kill(found.id)
        case "volume":
            await world.connection.client.AsyncVolume.destroy(found.id)
        case "template":
            await delete_template(world, found.id, str(intent.address))


async def _find(world: World, state: State, intent: Intent) -> tuple[Found, ...]:
    match intent.address.kind:
        case "sandbox":
            return await _sandboxes(world, state, intent)
        case "volume":
            name = e2b_name(state.project, state.environment, intent.address)
            volume_id = await find_volume(world, name)
            outputs: dict[str, Value] = {"address": str(intent.address), "name": name, "id": volume_id}
            return () if volume_id is None else (Found(id=volume_id, outputs=outputs),)
        case "setup":
            return await _snapshot(world, intent)
        case "template" | "catalogue":
            return await _template(world, state, intent)
        case _:
            return ()


async def _sandboxes(world: World, state: State, intent: Intent) -> tuple[Found, ...]:
    # Outside of any project, the key is the one mark there is.
    ours = scope(state.project, state.environment) if state.project else {}
    marks = {**ours, OPERATION: intent.key}
    found: list[Found] = []
    for info in await list_sandboxes(world.connection, marks, order="asc"):
        if found and not _is_leased(info):
            continue  # a fork, which somebody wants
        draft = _draft(intent)
        urls = await urls_of(world.connection, info.sandbox_id, _ports(draft.get("ports")))
        found.append(
            Found(
                id=info.sandbox_id,
                outputs={**draft, "address": str(intent.address), "id": info.sandbox_id, "urls": urls},
                created_at=timestamp(info.started_at),
                expires_at=timestamp(info.end_at),
            )
        )
    return tuple(found)


def _is_leased(info: SandboxInfo) -> bool:
    """Whether it has only ever had the time of a create that nobody knew the outcome of."""
    return (info.end_at - info.started_at).total_seconds() <= LEASE_SECONDS + _SLACK


async def _template(world: World, state: State, intent: Intent) -> tuple[Found, ...]:
    draft = _draft(intent)
    name, _, tag = str(draft.get("reference", "")).rpartition(":")
    if not tag.startswith(SPEC_TAG):
        name, tag = e2b_name(state.project, state.environment, intent.address), ""
    build = await find_build(world, name, tag)
    if build is None:
        return ()
    outputs: dict[str, Value] = {**draft, "address": str(intent.address), "name": name, "id": build.template_id}
    outputs["build_id"] = build.build_id
    return (Found(id=build.template_id, outputs=outputs, complete=build.ready),)


async def _snapshot(world: World, intent: Intent) -> tuple[Found, ...]:
    draft = _draft(intent)
    found = await find_snapshot(world, str(draft.get("reference", "")))
    if found is None:
        return ()
    return (Found(id=found.snapshot_id, outputs={**draft, "address": str(intent.address), "id": found.snapshot_id}),)


def _draft(intent: Intent) -> dict[str, Value]:
    """Outputs that the record would have had: those that attributes alone tell."""
    attributes = intent.draft.attributes if intent.draft is not None else {}
    shown = ("template", "timeout", "user", "ports", "metadata", "reference", "language", "env_vars")
    visible = shown if intent.address.kind != "sandbox" else shown[:5]
    return {name: attributes[name] for name in visible if name in attributes}


def _ports(value: Value) -> dict[str, int]:
    return {name: port for name, port in value.items() if isinstance(port, int)} if isinstance(value, dict) else {}
