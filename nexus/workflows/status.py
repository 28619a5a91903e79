"""Use cases `status` and `top`: one live sandbox in detail, and what all of them use right now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.environments import Environment
from nexus.model.values import Fingerprint, Sensitive
from nexus.providers.operating import LiveSandbox, NetworkRules, Operator, Surroundings, Usage
from nexus.workflows.loading import LoadRequest, load
from nexus.workflows.operating import Place, Sandbox, about, as_known, seen_now

SENSITIVE = "(sensitive)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """``surroundings`` are None where it is paused, ``usage`` where nothing was measured yet."""

    sandbox: LiveSandbox
    network: NetworkRules
    usage: Usage | None
    surroundings: Surroundings | None
    start_command: str | None = None
    alerts: Mapping[str, int] = field(default_factory=dict)


async def look_at(place: Place, operator: Operator, sandbox: Sandbox, alerts: Mapping[str, int]) -> Status:
    """All that can be told of one sandbox. Changes nothing; a paused one is not woken."""
    with about(sandbox):
        live, network = await asyncio.gather(seen_now(operator, sandbox), operator.network(sandbox.id))
        usage, surroundings = None, None
        if live.status == "running":
            measured, surroundings = await asyncio.gather(
                operator.usage(sandbox.id), operator.surroundings(sandbox.id, user=sandbox.user)
            )
            usage = measured[-1] if measured else None
    return Status(
        sandbox=live,
        network=network,
        usage=usage,
        surroundings=surroundings,
        start_command=_start_command(place, sandbox),
        alerts=alerts,
    )


def _start_command(place: Place, sandbox: Sandbox) -> str | None:
    """As it was applied; None for strangers, and where there is none."""
    if place.state is None or not sandbox.address:
        return None
    record = place.state.resources.get(Address.parse(sandbox.address))
    command = None if record is None else record.attributes.get("start_command")
    if isinstance(command, Fingerprint | Sensitive):
        return SENSITIVE
    return command if isinstance(command, str) else None


def alerts_of(folder: Path, environment: str, process: Mapping[str, str], address: str) -> Mapping[str, int]:
    """The thresholds that the manifest declares for a sandbox; none where it can't be loaded as it is."""
    try:
        wanted = Environment.parse(environment)
        project = load(LoadRequest(path=folder, environment=wanted.base, instance=wanted.branch, process=process))
        spec = project.desired.resources.get(Address.parse(address))
    except (DiagnosticsError, AddressError):
        return {}
    return {} if spec is None else spec.alerts


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What all live sandboxes of a place use at a moment, by id; the busiest first."""

    sandboxes: Sequence[LiveSandbox]
    usage: Mapping[str, Usage]


async def load_of(place: Place, operator: Operator, *, everything: bool) -> Load:
    """Of the project's environment; of the whole account outside of one, or for ``everything``."""
    scoped = place.project and not everything
    labels = {"nexus.project": place.project, "nexus.environment": place.environment} if scoped else {}
    with about(None):
        found = as_known(place, await operator.list(labels))
        usage = await operator.measure([item.id for item in found if item.status == "running"])

    def rank(item: LiveSandbox) -> tuple[bool, float, str]:
        measured = usage.get(item.id)
        return item.status != "running", -(measured.cpu_percent if measured else 0.0), item.address or item.id

    return Load(sandboxes=sorted(found, key=rank), usage=usage)
