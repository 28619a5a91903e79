"""The deep look: whether what was set up inside a sandbox is still there, asked in one command for each sandbox.

Who wants to enter a sandbox has to ask E2B for the token to it. The answer also holds what the list of sandboxes does
not tell, such as the rules of its network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from e2b.api.client.api.sandboxes import get_sandboxes_metrics
from e2b.api.client.models import SandboxDetail, SandboxesWithMetrics, SandboxMetric

from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import ResourceRecord, State, Tree
from nexus.model.values import Value
from nexus.providers.base import Certainty, ProviderError
from nexus.providers.e2b import errors
from nexus.providers.e2b.network_rules import network_of_detail
from nexus.providers.e2b.probing import UNRECEIPTED, ask, findings
from nexus.providers.e2b.rest import answer
from nexus.providers.e2b.world import World
from nexus.providers.operating import Usage

_AT_ONCE: Final = 10
_PAGE: Final = 100


async def look_inside(world: World, state: State, observation: Observation) -> Observation:
    """See :meth:`nexus.providers.base.Provider.look_inside`."""
    looker = _Looker(world, state.trees)
    async with asyncio.TaskGroup() as group:
        for record in state.resources.values():
            seen = observation.records.get(record.uid)
            if seen is not None and seen.presence is Presence.RUNNING and record.address.kind == "sandbox":
                group.create_task(looker.look(record, seen))
    return replace(
        observation,
        records={**observation.records, **looker.found},
        diagnostics=(*observation.diagnostics, *looker.diagnostics),
        deep=True,
    )


class _Looker:
    def __init__(self, world: World, trees: Mapping[str, Tree]) -> None:
        self._world = world
        self._trees = trees
        self._slots = asyncio.Semaphore(_AT_ONCE)
        self.found: dict[str, Observed] = {}
        self.diagnostics: list[Diagnostic] = []

    async def look(self, record: ResourceRecord, seen: Observed) -> None:
        """Looking changes nothing, so it is tried once more where it failed by chance."""
        async with self._slots:
            for is_last in (False, True):
                try:
                    facts = {**seen.facts, **await self._facts(record)}
                except Exception as problem:
                    failed = errors.translate(problem, str(record.address))
                    if is_last or failed.certainty is Certainty.PERMANENT:
                        self._note(failed, record)
                        return
                else:
                    self.found[record.uid] = replace(seen, facts=facts)
                    return

    async def _facts(self, record: ResourceRecord) -> dict[str, object]:
        detail = await self._world.sandboxes.look_up(record.id, str(record.address))
        inside = await self._inside(detail, record) if record.setup else {}
        return {**_network(detail, record), **inside}

    async def _inside(self, detail: SandboxDetail, record: ResourceRecord) -> dict[str, object]:
        inside = self._world.sandboxes.enter(detail, str(record.address))
        answers = await ask(inside, record, self._trees)
        found: dict[str, list[str]] = {}
        for unit, sentence in findings(record, self._trees, answers):
            if unit in record.setup:
                found.setdefault(unit, []).append(sentence)
        if answers.receipt.uid != record.uid and any(unit not in UNRECEIPTED for unit in record.setup):
            self.diagnostics.append(_no_receipt(record))
        setup = {unit: digest for unit, digest in record.setup.items() if unit not in found}
        return {"setup": setup, "findings": found}

    def _note(self, problem: ProviderError, record: ResourceRecord) -> None:
        self.diagnostics.append(
            Diagnostic(
                severity=Severity.WARNING,
                code="not-looked-into",
                summary="A sandbox could not be looked into",
                detail=f"{problem.diagnostic.summary}. {problem.diagnostic.detail}".strip(),
                hint="what is recorded of its inside is believed",
                address=str(record.address),
            )
        )


def _network(detail: SandboxDetail, record: ResourceRecord) -> dict[str, Value]:
    """The rules of its network where they are others than recorded."""
    seen, recorded = network_of_detail(detail), record.attributes.get("network")
    same = isinstance(recorded, dict) and all(recorded.get(name) == seen[name] for name in ("allow", "deny"))
    return {} if same else {"network": seen}


def _no_receipt(record: ResourceRecord) -> Diagnostic:
    return Diagnostic(
        severity=Severity.WARNING,
        code="receipt-missing",
        summary="A sandbox does not tell any more what was set up in it",
        detail=f"The receipt in {record.id} was removed or is that of another sandbox; the state is believed.",
        address=str(record.address),
    )


async def measure(world: World, ids: Sequence[str]) -> Mapping[str, Usage]:
    """See :meth:`nexus.providers.base.Provider.measure`."""
    found: dict[str, Usage] = {}
    for start in range(0, len(ids), _PAGE):
        page = list(ids[start : start + _PAGE])
        response = await get_sandboxes_metrics.asyncio_detailed(client=world.connection.api, sandbox_ids=page)
        measured: object = answer(response, SandboxesWithMetrics).sandboxes
        for sandbox_id, item in measured.items() if isinstance(measured, dict) else ():
            metric = SandboxMetric.from_dict(item)
            found[sandbox_id] = Usage(
                time=metric.timestamp,
                cpus=metric.cpu_count,
                cpu_percent=metric.cpu_used_pct,
                memory_used=metric.mem_used,
                memory_total=metric.mem_total,
                disk_used=metric.disk_used,
                disk_total=metric.disk_total,
            )
    return found
