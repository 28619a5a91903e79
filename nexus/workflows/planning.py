"""The use case `plan`: survey, decide, and hold a saved plan against what would be done now."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from nexus import costs, planning, policy
from nexus.expressions import Scope
from nexus.kinds.base import SourceFiles
from nexus.kinds.registry import KINDS
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.values import fingerprinter
from nexus.planning import Evaluation, Planned, PlanRequest, SavedPlan
from nexus.policy import Case, Guard
from nexus.stores import fingerprint_key
from nexus.workflows.limits import account_limits
from nexus.workflows.loading import Project
from nexus.workflows.locked import lock_notes
from nexus.workflows.promoting import with_origins
from nexus.workflows.session import Session
from nexus.workflows.surveying import Survey, survey

BILLED_TARGET: Final = "e2b"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Draft:
    """A plan with what an apply of it needs besides. Never printed: the evaluation knows secrets.

    ``guard`` has held the plan against the policies, and looks again at what was not known yet.
    """

    plan: Plan
    survey: Survey
    evaluation: Evaluation
    files: SourceFiles
    guard: Guard


async def plan(project: Project, session: Session, options: PlanOptions) -> Draft:
    """What an apply would do now. Changes nothing, takes no lock.

    One that policies deny is there to be looked at: its errors are in its diagnostics, and no apply takes it.
    """
    found = await survey(project, session, options, lineage=session.ids(), for_apply=False)
    return await drafted(project, session, found, options)


async def draw_up(project: Project, session: Session, found: Survey, options: PlanOptions) -> Draft:
    """The plan for one survey, to be applied. Raises DiagnosticsError when none can be made, or policies deny it."""
    draft = await drafted(project, session, found, options)
    refuse_denied(draft.plan)
    return draft


def refuse_denied(plan: Plan) -> None:
    """Raises DiagnosticsError, with all that there is to say of the plan, where a policy denies it."""
    if plan.is_denied:
        raise DiagnosticsError(plan.diagnostics)


async def drafted(project: Project, session: Session, found: Survey, options: PlanOptions) -> Draft:
    """The plan for one survey with what policies say of it. Raises DiagnosticsError when none can be made."""
    request = _request(project, session, found, options)
    planned = planning.make_plan(await with_origins(project, session, request))
    limits = account_limits(project)
    quota = planning.over_quota(planned.plan, planned.evaluation, found.state, found.observation, limits)
    notes = Diagnostics([*project.diagnostics, *found.diagnostics, *planned.plan.diagnostics, *quota])
    if not options.destroy:
        notes.extend(lock_notes(project, planned.evaluation.evaluated(), found.builds, strict=options.locked))
    notes.raise_if_errors()
    plan = _appraised(planned, session, found)
    guard = Guard(project.policies, _case(plan, planned, project, found))
    notes.extend(guard.judge())
    return Draft(
        plan=replace(plan, diagnostics=notes.sorted()),
        survey=found,
        evaluation=planned.evaluation,
        files=request.files,
        guard=guard,
    )


def _request(project: Project, session: Session, found: Survey, options: PlanOptions) -> PlanRequest:
    key = fingerprint_key(found.state.lineage)
    return PlanRequest(
        graph=project.desired,
        kinds=KINDS,
        state=found.state,
        observation=found.observation,
        files=project.files.with_key(key),
        fingerprint=fingerprinter(key),
        now=session.clock.now(),
        project=project.name,
        environment=project.environment,
        target=found.target,
        variables=project.variables,
        secrets=found.secrets,
        process_environment=project.process,
        lock=project.lock,
        longest_life=project.ttl,
        options=options,
    )


def _appraised(planned: Planned, session: Session, found: Survey) -> Plan:
    """The plan with what it costs and what it opens."""
    plan, evaluation = planned.plan, planned.evaluation
    cost = costs.cost_of_plan(
        plan,
        evaluation,
        found.state,
        found.observation,
        now=session.clock.now(),
        billed=found.target.kind == BILLED_TARGET,
    )
    return replace(plan, cost=cost, openings=policy.openings(plan, evaluation, found.state))


def _case(plan: Plan, planned: Planned, project: Project, found: Survey) -> Case:
    return Case(
        plan=plan,
        evaluation=planned.evaluation,
        state=found.state,
        scope=Scope(variables=project.variables, environment=project.process, files=project.files),
        places=project.manifest.places,
    )


def refuse_stale(saved: SavedPlan, fresh: Plan) -> None:
    """Raises DiagnosticsError, with every difference, unless ``fresh`` is what was saved."""
    differences = planning.difference(saved, fresh)
    if differences:
        raise DiagnosticsError(
            error(
                "plan-stale",
                "The saved plan is not what would be done now",
                detail="\n".join(differences),
                hint="make a new plan with «nexus plan --out FILE», look at it, and apply that",
            )
        )


def save(plan: Plan, path: Path) -> None:
    """Write a plan for a later apply, whole or not at all.

    Raises DiagnosticsError when it can't be written, or when policies deny it.
    """
    refuse_denied(plan)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")  # others may write it at the same moment
    try:
        draft.write_text(planning.format_saved(plan), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(path)
    except OSError as problem:
        with suppress(OSError):  # where nothing can be written, nothing can be removed
            draft.unlink()
        raise DiagnosticsError(
            error(
                "plan-unwritable",
                f"The plan can't be written to {path}",
                detail=f"{problem.strerror}.",
                hint="name a file in a folder that exists and may be written to",
            )
        ) from problem


def read_saved(path: Path) -> SavedPlan:
    """A plan written by «plan --out». Raises DiagnosticsError when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        why = problem.strerror if isinstance(problem, OSError) else problem
        raise DiagnosticsError(
            error(
                "plan-unreadable",
                f"The plan {path} can't be read",
                detail=f"{why}.",
                hint="«nexus plan --out FILE» writes one",
            )
        ) from problem
    return planning.parse_saved(text, str(path))
