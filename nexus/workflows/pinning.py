"""The use case `lock`: what the manifest asks for is resolved once, and written down for everybody.

What is in the lock file already stays as it is. What is not is resolved in sandboxes that live for nothing else, on the
templates that the manifest names; what builds on a template of the project's own waits for the packages of that one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

from nexus.kinds.registry import KINDS
from nexus.manifest import read_lock, write_lock
from nexus.model.addresses import Address
from nexus.model.changes import PlanOptions
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, error
from nexus.model.events import Event, OperationFinished, Outcome
from nexus.model.lockfile import LockedEnvironment, LockedSet, Lockfile
from nexus.model.observation import Observation
from nexus.model.state import State, Target
from nexus.model.suggestions import did_you_mean
from nexus.model.values import fingerprinter
from nexus.planning import Demand, Demands, PlanRequest, demands
from nexus.stores import fingerprint_key, load
from nexus.workflows.applying import ApplyRequest, apply
from nexus.workflows.loading import LoadRequest, Project, expand
from nexus.workflows.scratch import scratch
from nexus.workflows.session import Session
from nexus.workflows.surveying import available_secrets, explained

Tell = Callable[[str], None]
"""Told what is going on, a line at a time."""

ALL = "*"
"""Stands for the names of all blocks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """What came of it. ``before`` is the lock file as it was, None where there was none; ``written`` if it changed."""

    before: Lockfile | None
    after: Lockfile
    written: bool
    diagnostics: tuple[Diagnostic, ...] = ()


async def lock(
    request: LoadRequest, project: Project, session: Session, *, upgrade: Sequence[str] = (), tell: Tell
) -> Locked:
    """Bring the lock file to what the manifest asks for. ``upgrade`` names blocks that are resolved anew, or ALL.

    ``session`` has to have stores that end with it. Raises DiagnosticsError where something can't be resolved: then the
    lock file is as it was.
    """
    async with explained():
        target = await session.provider.identity()
    asked = _asked(project, session, target)
    known = project.lock or Lockfile()
    anew = _upgraded(asked, upgrade)
    resolved: dict[str, list[LockedSet]] = {}
    pending: list[Demand] = []
    for demand in asked.packages:
        found = None if demand.block in anew else known.find(demand.block, demand.base, demand.requirements)
        if found is not None:
            _add(resolved, demand.block, found)
        else:
            pending.append(demand)
    await _Resolving(request, project, session, tell, resolved).run(pending)
    builds = await _builds(session, asked.templates, target)
    before = read_lock(project.root)  # others may have locked other environments while ours was resolved
    there = before or Lockfile()
    environments = {
        **there.environments,
        project.base_environment: LockedEnvironment(uploads=asked.uploads, builds=builds),
    }
    after = replace(there.with_sets(project.base_environment, resolved), environments=environments)
    written = write_lock(project.root, after)
    return Locked(before=before, after=after, written=written, diagnostics=asked.diagnostics)


def _asked(project: Project, session: Session, target: Target) -> Demands:
    """What the manifest asks for. Raises DiagnosticsError where that can't be told."""
    key = fingerprint_key("")
    secrets, missing = available_secrets(project)
    session.keep_secret(secrets.values())
    found = demands(
        PlanRequest(
            graph=project.desired,
            kinds=KINDS,
            state=State(lineage="", project=project.name, environment=project.environment, target=target),
            observation=Observation(complete=False),
            files=project.files.with_key(key),
            fingerprint=fingerprinter(key),
            now=session.clock.now(),
            project=project.name,
            environment=project.environment,
            target=target,
            variables=project.variables,
            secrets=secrets,
            process_environment=project.process,
        )
    )
    notes = Diagnostics([*project.diagnostics, *missing, *found.diagnostics])
    notes.raise_if_errors()
    return replace(found, diagnostics=notes.sorted())


def _upgraded(asked: Demands, names: Sequence[str]) -> frozenset[str]:
    """The blocks that these names mean. Raises DiagnosticsError for a name that no block with packages has."""
    blocks = {demand.block for demand in asked.packages}
    if ALL in names:
        return frozenset(blocks)
    found: set[str] = set()
    for name in names:
        meant = {block for block in blocks if name in (block, Address.parse(block).name)}
        if not meant:
            raise DiagnosticsError(
                error(
                    "unknown-address",
                    f"No block that installs packages is called «{name}»",
                    hint=did_you_mean(name, blocks),
                )
            )
        found |= meant
    return frozenset(found)


async def _builds(session: Session, templates: Sequence[str], target: Target) -> Mapping[str, str]:
    """Builds of templates that nexus does not build. Those of a local engine are nobody else's."""
    if target.kind != "e2b" or not templates:
        return {}
    async with explained():
        return await session.provider.build_ids(templates)


def _add(sets: dict[str, list[LockedSet]], block: str, found: LockedSet) -> None:
    """Instances that ask for the same share what it comes to."""
    known = sets.setdefault(block, [])
    if not any(item.answers(found.base, found.requirements) for item in known):
        known.append(found)


@dataclass(slots=True)
class _Resolving:
    """Resolves demands in the order in which templates build on each other. ``resolved`` grows."""

    request: LoadRequest
    project: Project
    session: Session
    tell: Tell
    resolved: dict[str, list[LockedSet]]
    name: str = field(init=False)

    def __post_init__(self) -> None:
        self.name = f"lock-{self.session.ids()[:8]}"

    async def run(self, pending: Iterable[Demand]) -> None:
        waiting = _distinct(pending)
        if not waiting:
            return
        place = scratch(self.project.manifest, waiting)
        project = expand(place.manifest, replace(self.request, instance=self.name))
        async with self._removed_at_the_end(project):
            while waiting:
                blocks = {demand.block for demand in waiting}
                ready = [demand for demand in waiting if demand.base not in blocks]
                project = replace(project, lock=self._so_far())
                await self._make(project, [place.sandboxes[demand.address] for demand in ready])
                for demand in ready:
                    await self._resolve(demand, place.sandboxes[demand.address])
                waiting = [demand for demand in waiting if demand not in ready]

    def _so_far(self) -> Lockfile:
        return Lockfile(packages={block: tuple(sets) for block, sets in self.resolved.items()}, is_partial=True)

    async def _make(self, project: Project, sandboxes: Sequence[Address]) -> None:
        self.tell(f"making {len(sandboxes)} {'sandbox' if len(sandboxes) == 1 else 'sandboxes'} to resolve in")
        await self._apply(project, PlanOptions(targets=tuple(sandboxes)))

    async def _resolve(self, demand: Demand, sandbox: Address) -> None:
        self.tell(f"{demand.block}: resolving {', '.join(demand.requirements)} on {demand.base}")
        fresh = State(lineage="", project=self.project.name)
        record = (await load(self.session.backend, fresh)).state.resources[sandbox]
        async with explained():
            closures = await self.session.provider.resolve(replace(record, address=demand.address), demand.requirements)
        found = LockedSet(base=demand.base, requirements=demand.requirements, closures=closures)
        _add(self.resolved, demand.block, found)

    @asynccontextmanager
    async def _removed_at_the_end(self, project: Project) -> AsyncIterator[None]:
        try:
            yield
        finally:
            await self._apply(project, PlanOptions(destroy=True))

    async def _apply(self, project: Project, options: PlanOptions) -> None:
        applied = await apply(
            project,
            self.session,
            ApplyRequest(options=options),
            approve=lambda _: True,
            sink=self._note,
            bind_interrupt=lambda _: None,
        )
        if applied.result is not None and not applied.result.succeeded:
            raise DiagnosticsError(applied.diagnostics)

    def _note(self, event: Event) -> None:
        match event:
            case OperationFinished(operation=operation, outcome=Outcome.SUCCEEDED):
                if operation.address.kind in ("template", "catalogue") and operation.verb.value == "create":
                    self.tell(f"{operation.address}: built")


def _distinct(pending: Iterable[Demand]) -> list[Demand]:
    """One for all instances of a block that ask for the same."""
    found = {(demand.block, demand.base, str(demand.requirements)): demand for demand in pending}
    return list(found.values())
