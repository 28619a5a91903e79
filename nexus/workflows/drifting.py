"""The use case `drift`: what is out there, held against what was applied. Changes nothing, takes no lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.changes import PlanOptions
from nexus.model.observation import Presence
from nexus.model.state import State
from nexus.planning import Alert, DriftReport, drift_of, without_taken
from nexus.providers.operating import Usage
from nexus.workflows.loading import Project
from nexus.workflows.session import Session
from nexus.workflows.surveying import Survey, explained, survey


async def find_drift(project: Project, session: Session, *, deep: bool, allow_missing: bool = False) -> DriftReport:
    """Look at everything that the state knows; ``deep`` looks into running sandboxes, too.

    Raises DiagnosticsError when nothing can be seen, or when what is seen looks like another account.
    """
    options = PlanOptions(deep=deep, allow_missing=allow_missing)
    found = await survey(project, session, options, lineage=session.ids(), for_apply=False)
    drifts = drift_of(found.state, found.observation, graph=project.desired, kinds=KINDS, now=session.clock.now())
    return DriftReport(
        looked_at=sum(address.kind != "step" for address in without_taken(found.state).resources),
        drifts=drifts,
        alerts=await _alerts(project, session, found),
        diagnostics=(*project.diagnostics, *found.diagnostics, *found.observation.diagnostics),
    )


async def _alerts(project: Project, session: Session, found: Survey) -> tuple[Alert, ...]:
    """Sandboxes that use too much; where none has thresholds, nothing is asked."""
    watched = dict(_watched(project, found.state, found))
    if not watched:
        return ()
    async with explained():
        usage = await session.provider.measure(list(watched))
    return tuple(
        Alert(address=address, id=sandbox_id, measured=name, percent=percent, threshold=thresholds[name])
        for sandbox_id, (address, thresholds) in watched.items()
        if sandbox_id in usage
        for name, percent in _percentages(usage[sandbox_id]).items()
        if name in thresholds and percent >= thresholds[name]
    )


def _watched(project: Project, state: State, found: Survey) -> Iterator[tuple[str, tuple[Address, Mapping[str, int]]]]:
    """Running sandboxes by id, with their thresholds."""
    for address, record in state.resources.items():
        spec = project.desired.resources.get(address)
        seen = found.observation.records.get(record.uid)
        if spec is not None and spec.alerts and seen is not None and seen.presence is Presence.RUNNING:
            yield record.id, (address, spec.alerts)


def _percentages(usage: Usage) -> Mapping[str, float]:
    return {
        "cpu": round(usage.cpu_percent, 1),
        "memory": _share(usage.memory_used, usage.memory_total),
        "disk": _share(usage.disk_used, usage.disk_total),
    }


def _share(used: int, total: int) -> float:
    return round(100 * used / total, 1) if total else 0.0
