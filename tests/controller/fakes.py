"""A project that a test scripts, a source of files that it moves, and what it takes to keep them."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from nexus.api.errors import ApplyError, StalePlanError
from nexus.controller.approvals import Approvals, Waiting
from nexus.controller.controller import Parts
from nexus.controller.logs import Log
from nexus.controller.settings import EnvironmentSettings, Key, Policy, ProjectSettings, Settings
from nexus.controller.sources import Revision
from nexus.controller.traces import Traces
from nexus.executor import ApplyResult
from nexus.model.addresses import Address
from nexus.model.changes import Action, Change, Operation, Plan, Verb
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error
from nexus.model.events import ApplyFinished, Event, OperationFinished, OperationStarted, Outcome, PlanReady
from nexus.model.state import State, Target
from nexus.planning import Drift, DriftCause, DriftReport
from nexus.stores import FileDocument, Lock, LockInfo, Memory, SharedDocument
from nexus.workflows.applying import Applied

KEY = Key("shop", "dev")
WEB = Address.parse("sandbox.web")


def who(name: str, operation: str = "apply") -> LockInfo:
    return LockInfo(holder=name, pid=1, operation=operation, since="2026-01-02T03:04:05Z", id=name)


def make_plan(*addresses: Address, serial: int = 1, action: Action = Action.CREATE, lineage: str = "one") -> Plan:
    return Plan(
        project="shop",
        environment="dev",
        target=Target("local"),
        lineage=lineage,
        base_serial=serial,
        changes=tuple(Change(address=item, action=action, cause="it is gone") for item in addresses),
        operations=tuple(Operation(id=f"op{n}", verb=Verb.CREATE, address=item) for n, item in enumerate(addresses)),
    )


@dataclass
class Ongoing:
    """One apply: it waits at ``gate``, then it ends with ``outcome``."""

    project: FakeProject
    plan: Plan
    interrupted: bool = False

    def interrupt(self) -> None:
        self.interrupted = True
        self.project.gate.set()

    async def __aiter__(self) -> AsyncIterator[Event]:
        yield PlanReady(plan=self.plan)
        for operation in self.plan.operations:
            yield OperationStarted(operation=operation)
        await self.project.gate.wait()
        bad = self.interrupted or self.project.problem is not None
        for operation in self.plan.operations:
            outcome = Outcome.FAILED if bad else Outcome.SUCCEEDED
            diagnostic = self.project.problem if bad else None
            yield OperationFinished(operation=operation, outcome=outcome, seconds=1.5, diagnostic=diagnostic)
        count = len(self.plan.operations)
        yield ApplyFinished(seconds=2.0, outcomes={Outcome.FAILED if bad else Outcome.SUCCEEDED: count})

    async def result(self) -> Applied:
        project = self.project
        result = ApplyResult(state=State(lineage="one"), outcomes={}, seconds=2.0)
        applied = Applied(plan=self.plan, approved=True, result=result)
        if self.interrupted:
            raise ApplyError(applied, [error("interrupted", "It was interrupted")])
        if project.problem is not None:
            raise ApplyError(applied, [project.problem])
        project.applied.append(self.plan)
        project.missing = ()
        return applied


@dataclass
class FakeProject:
    """What is ``missing`` out there is planned to be made. ``stale`` refuses any plan that was approved."""

    missing: tuple[Address, ...] = (WEB,)
    serial: int = 1
    problem: Diagnostic | None = None
    plan_problem: Exception | None = None
    stale: bool = False
    lineages: int = 0
    plans: int = 0
    drifts: int = 0
    applied: list[Plan] = field(default_factory=list)
    asked: list[Plan | None] = field(default_factory=list)
    memory: Memory = field(default_factory=Memory)
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def plan(self, *, deep: bool = False) -> Plan:
        self.plans += 1
        if self.plan_problem is not None:
            raise self.plan_problem
        return self._plan()

    def _plan(self) -> Plan:
        if self.serial == 0:
            self.lineages += 1
        return make_plan(*self.missing, serial=self.serial, lineage=f"one{self.lineages}")

    async def drift(self, *, deep: bool = True) -> DriftReport:
        self.drifts += 1
        gone = [
            Drift(address=item, id="i1", uid="u1", cause=DriftCause.GONE, detail="it is not there any more")
            for item in self.missing
        ]
        return DriftReport(looked_at=3, drifts=tuple(gone))

    @asynccontextmanager
    async def applying(
        self, plan: Plan | None = None, *, deep: bool = False, lock_timeout: float = 0.0
    ) -> AsyncIterator[Ongoing]:
        self.asked.append(plan)
        if plan is not None and self.stale:
            raise StalePlanError([error("plan-stale", "Not what would be done", detail="sandbox.web: another cause.")])
        yield Ongoing(self, plan or self._plan())

    def lock_beside(self, name: str) -> Lock:
        assert name == "controller"
        return self.memory.backend().lock

    def document_beside(self, name: str, document: str) -> SharedDocument | None:
        return None

    async def runs(self, *, limit: int | None = None) -> Sequence[object]:
        return []

    async def picture(self, form: str, plan: Plan | None = None) -> str:
        return f"<svg xmlns='http://www.w3.org/2000/svg'><title>{form}</title></svg>"


@dataclass
class FakeSource:
    id: str = "r1"
    problem: Diagnostic | None = None
    pause: float | None = None
    looks: int = 0

    async def refresh(self) -> Revision:
        self.looks += 1
        if self.problem is not None:
            raise DiagnosticsError(self.problem)
        return Revision(self.id, Path("/nowhere/nexus.yaml"), "Change a thing")


@dataclass
class World:
    """One project with some environments, their projects, and one store for leases; as many controllers as wanted."""

    folder: Path
    source: FakeSource = field(default_factory=FakeSource)
    projects: dict[Key, FakeProject] = field(default_factory=dict)
    text: io.StringIO = field(default_factory=io.StringIO)
    bugs: list[Exception] = field(default_factory=list)
    traces: Traces = field(default_factory=Traces)
    load_problem: Diagnostic | None = None

    def approvals(self, key: Key = KEY, _: object = None) -> Approvals:
        """As a controller and its approvers have them: each with a document of its own to the same file."""
        return Approvals(key, FileDocument(self.folder / "waiting" / key.project / f"{key.environment}.json"))

    async def waiting(self) -> Waiting | None:
        return await self.approvals().get()

    async def approve(self) -> None:
        waiting = await self.waiting()
        assert waiting is not None
        await self.approvals().approve(waiting, who("approver@there", "approve"))

    def settings(self, *names: str, policy: Policy = Policy.AUTO, interval: float = 3600.0) -> Settings:
        environments = tuple(
            EnvironmentSettings(key=Key("shop", name), policy=policy, interval=interval) for name in names or ("dev",)
        )
        for item in environments:
            self.projects.setdefault(item.key, FakeProject())
        project = ProjectSettings(name="shop", place=self.folder, environments=environments)
        return Settings(projects=(project,), host="")

    def parts(self, holder: str = "me@here") -> Parts:
        return Parts(
            source=lambda _: self.source,
            load=self.load,
            approvals=self.approvals,
            log=Log(self.text, as_json=True),
            on_bug=self.bugs.append,
            traces=self.traces,
            holder=lambda operation: who(holder, operation),
        )

    async def load(self, environment: EnvironmentSettings, revision: Revision, /) -> FakeProject:
        if self.load_problem is not None:
            raise DiagnosticsError(self.load_problem)
        return self.projects[environment.key]
