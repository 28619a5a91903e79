"""The use case `pool list`: what stands in each pool, and who has what was taken. Changes nothing, takes no lock."""

from __future__ import annotations

from collections.abc import Mapping

from nexus.executor.clock import timestamp
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.pools import InUse, Member, PoolStanding, Readiness
from nexus.model.state import ResourceRecord, State
from nexus.planning import is_whole, moved
from nexus.providers.operating import LiveSandbox, Operator
from nexus.workflows.loading import Project
from nexus.workflows.operating import about
from nexus.workflows.surveying import moves_of
from nexus.workflows.taking import members


async def standings(project: Project, state: State, operator: Operator) -> tuple[PoolStanding, ...]:
    """All pools of the manifest, as they are now."""
    if not project.desired.pools:
        return ()
    labels = {"nexus.project": project.name, "nexus.environment": project.environment}
    with about(None):
        live = {item.id: item for item in await operator.list(labels)}
    now = moved(state, moves_of(project))
    return tuple(
        PoolStanding(
            address=address,
            pool=pool,
            members=[_member(item, live) for item in sorted(members(now, address), key=_place)],
            taken=[_in_use(item, live[item.id]) for item in _taken(now, address) if item.id in live],
        )
        for address, pool in sorted(project.desired.pools.items())
    )


def taken_named(state: State, text: str) -> ResourceRecord:
    """What was taken, by its id, its address, or the name that ``nexus list`` shows. Raises DiagnosticsError."""
    for record in state.resources.values():
        if text in (record.id, str(record.address), record.address.short) and record.address.kind == "sandbox":
            if record.taken is not None:
                return record
            raise DiagnosticsError(_not_taken(record))
    raise DiagnosticsError(
        error(
            "not-taken",
            f"No sandbox «{text}» is taken from a pool",
            detail="What was taken and has ended is forgotten.",
            hint="«nexus pool list» shows what is taken",
        )
    )


def _not_taken(record: ResourceRecord) -> Diagnostic:
    return error(
        "not-taken",
        f"{record.address} was not taken from a pool",
        hint="«nexus delete» removes any sandbox; a plan makes those of the manifest again",
        address=str(record.address),
    )


def _member(record: ResourceRecord, live: Mapping[str, LiveSandbox]) -> Member:
    seen = live.get(record.id)
    return Member(
        address=record.address,
        id=record.id,
        readiness=_readiness(record, seen),
        created_at=record.created_at,
        expires_at=_end(seen),
    )


def _readiness(record: ResourceRecord, seen: LiveSandbox | None) -> Readiness:
    if seen is None:
        return Readiness.ENDED
    if not is_whole(record):
        return Readiness.UNFINISHED
    return Readiness.READY if seen.status == "running" else Readiness.PAUSED


def _in_use(record: ResourceRecord, seen: LiveSandbox) -> InUse:
    assert record.taken is not None
    return InUse(address=record.address, id=record.id, taken=record.taken, status=seen.status, expires_at=_end(seen))


def _end(seen: LiveSandbox | None) -> str | None:
    return timestamp(seen.expires_at) if seen is not None and seen.status == "running" else None


def _taken(state: State, pool: Address) -> list[ResourceRecord]:
    found = [item for item in state.resources.values() if item.address.group == pool and item.taken is not None]
    return sorted(found, key=lambda item: (item.taken.at if item.taken else "", item.id))


def _place(record: ResourceRecord) -> tuple[int, str]:
    key = record.address.key or ""
    return (int(key) if key.isdigit() else 0, key)
