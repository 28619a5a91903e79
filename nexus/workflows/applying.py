"""The use cases `apply` and `destroy`: one trip, towards the manifest or towards nothing."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Protocol

from nexus.executor import ApplyResult, Executor, Limits, Resolved
from nexus.executor.results import Lookup
from nexus.kinds.registry import KINDS
from nexus.manifest import commit_of
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.model.events import (
    ApplyFinished,
    ApplyStarted,
    DiagnosticRaised,
    OperationFinished,
    Outcome,
    PlanReady,
    Sink,
)
from nexus.model.runs import Run, RunHead, run_of
from nexus.model.state import Commit, HistoryEntry, OutputRecord, State
from nexus.planning import Evaluation, SavedPlan, refreshed
from nexus.policy import Guard
from nexus.stores import commit
from nexus.workflows import runs
from nexus.workflows.estimating import read_estimate
from nexus.workflows.limits import pacing
from nexus.workflows.loading import Project
from nexus.workflows.locking import locked
from nexus.workflows.planning import Draft, draw_up, refuse_stale
from nexus.workflows.session import Session
from nexus.workflows.surveying import explained, survey

Approve = Callable[[Plan], bool]
"""Asked once, with the whole plan, before anything is done."""


class BindInterrupt(Protocol):
    """Given what an interrupt (Ctrl-C) has to call, for as long as operations run."""

    def __call__(self, interrupt: Callable[[], None], /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyRequest:
    """``lock_timeout`` in seconds. A ``saved`` plan is applied exactly, or refused; its options then hold.

    ``parallelism`` None leaves it to the manifest.
    """

    options: PlanOptions = field(default_factory=PlanOptions)
    saved: SavedPlan | None = None
    parallelism: int | None = None
    lock_timeout: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """How it ended. ``result`` is None when nothing was done: an empty plan, or one that was not approved.

    ``run`` tells it operation by operation, and which steps had nothing to do.
    """

    plan: Plan
    approved: bool
    run: Run | None = None
    result: ApplyResult | None = None
    outputs: Mapping[str, OutputRecord] = field(default_factory=dict)
    diagnostics: tuple[Diagnostic, ...] = ()


async def apply(
    project: Project,
    session: Session,
    request: ApplyRequest,
    *,
    approve: Approve,
    sink: Sink,
    bind_interrupt: BindInterrupt,
) -> Applied:
    """Plan under the lock, ask, do. Whatever happens in between, what was done is in the state or in the journal."""
    options = request.saved.options if request.saved is not None else request.options
    async with locked(session, project.command(options), request.lock_timeout) as note:
        if note is not None:
            sink(DiagnosticRaised(diagnostic=note))
        # A saved plan of a project that was never applied has given its future state a name.
        lineage = session.ids() if request.saved is None else request.saved.plan.lineage
        found = await survey(project, session, options, lineage=lineage, for_apply=True)
        draft = await draw_up(project, session, found, options)
        if request.saved is not None:
            refuse_stale(request.saved, draft.plan)
        sink(PlanReady(plan=draft.plan))
        if draft.plan.is_empty:
            head = await _head(project, session, draft)
            return replace(await _settle(session, draft), run=run_of(head, ()))
        if not approve(draft.plan):
            return Applied(plan=draft.plan, approved=False)
        await session.backend.lock.verify()  # a person may take long to answer
        if options.refresh_only:
            return await _take_in(session, draft, sink)
        limits = pacing(project, request.parallelism)
        return await _recorded(project, session, await grounded(session, draft), limits, sink, bind_interrupt)


async def _recorded(
    project: Project, session: Session, draft: Draft, limits: Limits, sink: Sink, bind_interrupt: BindInterrupt
) -> Applied:
    """Carry it out, and leave a record of the run, whatever becomes of it."""
    head = await _head(project, session, draft)
    files = project.commit
    if files is None:
        files = await asyncio.to_thread(commit_of, project.root, project.process)
    recorder = await runs.begin(session.backend, head, sink, session.clock)
    try:
        entry = partial(_entry, head, files, draft.plan)
        applied = await carry_out(session, draft, limits, recorder, bind_interrupt, entry)
    finally:
        recorder.close()
    notes = () if recorder.problem is None else (recorder.problem,)
    return replace(applied, run=recorder.run(), diagnostics=(*applied.diagnostics, *notes))


async def _head(project: Project, session: Session, draft: Draft) -> RunHead:
    holder = await session.backend.lock.holder() or session.holder(project.command(draft.plan.options))
    return runs.head_of(project, draft.plan, holder, draft.survey.state, session.clock.now(), session.ids())


async def _take_in(session: Session, draft: Draft, sink: Sink) -> Applied:
    """What was seen becomes the state; nothing is done out there."""
    plan, begun = draft.plan, session.clock.monotonic()
    sink(ApplyStarted(operations=len(plan.operations)))
    selected = {operation.address for operation in plan.operations}
    committed = await commit(session.backend, refreshed(draft.survey.state, draft.survey.observation, selected))
    for operation in plan.operations:
        sink(OperationFinished(operation=operation, outcome=Outcome.SUCCEEDED))
    seconds = session.clock.monotonic() - begun
    outcomes = {operation.id: Outcome.SUCCEEDED for operation in plan.operations}
    sink(
        ApplyFinished(
            seconds=seconds,
            outcomes={Outcome.SUCCEEDED: len(outcomes)},
            changes=dict.fromkeys(selected, Outcome.SUCCEEDED),
        )
    )
    result = ApplyResult(state=committed, outcomes=outcomes, seconds=seconds)
    return Applied(plan=plan, approved=True, result=result, outputs=committed.outputs)


async def grounded(session: Session, draft: Draft) -> Draft:
    """The draft on a state that is written: a journal can only continue one that is."""
    if not draft.survey.unwritten:
        return draft
    state = await commit(session.backend, draft.survey.state)
    survey = replace(draft.survey, state=state, unwritten=False)
    return replace(draft, survey=survey, plan=replace(draft.plan, base_serial=state.serial))


async def _settle(session: Session, draft: Draft) -> Applied:
    """Nothing to do out there; outputs may still read differently than they did."""
    state = draft.survey.state
    outputs, notes = _outputs(draft, state)
    if outputs != state.outputs or draft.survey.unwritten:
        await commit(session.backend, replace(state, outputs=outputs))
    return Applied(plan=draft.plan, approved=True, outputs=outputs, diagnostics=notes)


async def carry_out(
    session: Session,
    draft: Draft,
    limits: Limits,
    sink: Sink,
    bind_interrupt: BindInterrupt,
    entry: Callable[[ApplyResult], HistoryEntry] | None = None,
) -> Applied:
    """Walk the operations and write the state, with an ``entry`` of its history where one is wanted."""
    executor = Executor(
        session.provider,
        session.backend.journal,
        sink,
        ids=session.ids,
        clock=session.clock,
        limits=limits,
        estimate=await read_estimate(session.backend),
        lock=session.backend.lock,
    )
    bind_interrupt(executor.interrupt)
    async with explained():
        result = await executor.run(
            draft.plan,
            draft.survey.state,
            Resolver(draft.evaluation, draft.guard),
            draft.files,
            draft.evaluation.verdict_at_apply,
        )
    outputs, notes = _outputs(draft, result.state)
    state = replace(result.state, outputs=outputs)
    try:
        await session.backend.lock.verify()
        committed = await commit(session.backend, state if entry is None else state.after(entry(result)))
    except DiagnosticsError as problem:
        # Also a moment after it was verified: who took it over then has made sure that this write is refused.
        told = () if result.lock_lost else problem.diagnostics
        unwritten = replace(result, lock_lost=True)
        return Applied(plan=draft.plan, approved=True, result=unwritten, diagnostics=(*result.diagnostics, *told))
    await _learn(session, draft.plan, result)
    return Applied(
        plan=draft.plan,
        approved=True,
        result=replace(result, state=committed),
        outputs=outputs,
        diagnostics=(*result.diagnostics, *notes, *draft.guard.late),
    )


def _entry(head: RunHead, files: Commit, plan: Plan, result: ApplyResult) -> HistoryEntry:
    good = (Outcome.SUCCEEDED, Outcome.UNCHANGED)
    failed = {item.address for item in plan.operations if result.outcomes.get(item.id) not in good}
    return HistoryEntry(
        serial=result.state.serial + 1,
        command=head.command,
        at=head.started_at,
        holder=head.holder,
        changes=Counter(change.action.value for change in plan.changes if change.address not in failed),
        complete=result.succeeded,
        commit=files,
    )


async def _learn(session: Session, plan: Plan, result: ApplyResult) -> None:
    """Added to what is known by now: applies of other environments have learnt meanwhile."""
    took = ((operation, result.took[operation.id]) for operation in plan.operations if operation.id in result.took)
    durations = session.backend.durations
    with suppress(DiagnosticsError):  # they are only good for estimates
        await durations.write((await durations.read()).after(took))


class Resolver:
    """Answers the executor's question what a resource is by now, from the plan's own evaluation."""

    def __init__(self, evaluation: Evaluation, guard: Guard) -> None:
        self._evaluation = evaluation
        self._guard = guard

    def __call__(self, address: Address, lookup: Lookup, /) -> Resolved:
        """Raises DiagnosticsError where a policy that was open until now denies it: nothing is done to it then."""
        found = self._evaluation.at_apply(address, lookup)
        self._guard.check(found)
        return Resolved(
            attributes=found.concealed,
            spec=KINDS[address.kind].decode(found.revealed),
            units=found.units,
            trees=found.trees,
            places=found.spec.field_sources,
            depends_on=found.spec.depends_on,
            protected=found.spec.lifecycle.prevent_destroy,
            on_destroy=found.spec.lifecycle.on_destroy,
        )


def _outputs(draft: Draft, state: State) -> tuple[Mapping[str, OutputRecord], tuple[Diagnostic, ...]]:
    """The project's outputs after a run; none are left once everything is destroyed."""
    if draft.plan.options.destroy:
        return ({} if not state.resources else state.outputs), ()
    try:
        return draft.evaluation.project_outputs(state.resources.get), ()
    except DiagnosticsError as problem:
        return state.outputs, problem.diagnostics
