"""The use case `plan`: survey, decide, and hold a saved plan against what would be done now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from nexus import planning
from nexus.kinds.base import SourceFiles
from nexus.kinds.registry import KINDS
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.values import fingerprinter
from nexus.planning import Evaluation, PlanRequest, SavedPlan
from nexus.stores import fingerprint_key
from nexus.workflows.limits import account_limits
from nexus.workflows.loading import Project
from nexus.workflows.locked import lock_notes
from nexus.workflows.session import Session
from nexus.workflows.surveying import Survey, survey


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Draft:
    """A plan with what an apply of it needs besides. Never printed: the evaluation knows secrets."""

    plan: Plan
    survey: Survey
    evaluation: Evaluation
    files: SourceFiles


async def plan(project: Project, session: Session, options: PlanOptions) -> Draft:
    """What an apply would do now. Changes nothing, takes no lock."""
    found = await survey(project, session, options, lineage=session.ids(), for_apply=False)
    return draw_up(project, session, found, options)


def draw_up(project: Project, session: Session, found: Survey, options: PlanOptions) -> Draft:
    """The plan for one survey. Raises DiagnosticsError when none can be made."""
    key = fingerprint_key(found.state.lineage)
    files = project.files.with_key(key)
    planned = planning.make_plan(
        PlanRequest(
            graph=project.desired,
            kinds=KINDS,
            state=found.state,
            observation=found.observation,
            files=files,
            fingerprint=fingerprinter(key),
            now=session.clock.now(),
            project=project.name,
            environment=project.environment,
            target=found.target,
            variables=project.variables,
            secrets=found.secrets,
            process_environment=project.process,
            lock=project.lock,
            options=options,
        )
    )
    limits = account_limits(project)
    quota = planning.over_quota(planned.plan, planned.evaluation, found.state, found.observation, limits)
    notes = Diagnostics([*project.diagnostics, *found.diagnostics, *planned.plan.diagnostics, *quota])
    if not options.destroy:
        notes.extend(lock_notes(project, planned.evaluation.evaluated(), found.builds, strict=options.locked))
    notes.raise_if_errors()
    return Draft(
        plan=replace(planned.plan, diagnostics=notes.sorted()), survey=found, evaluation=planned.evaluation, files=files
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
    """Write a plan for a later apply, whole or not at all. Raises DiagnosticsError when it can't be written."""
    draft = path.with_name(f".{path.name}.new")
    try:
        draft.write_text(planning.format_saved(plan), encoding="utf-8")
        draft.chmod(0o600)
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise DiagnosticsError(
            error("plan-unwritable", f"The plan can't be written to {path}", detail=str(problem))
        ) from problem


def read_saved(path: Path) -> SavedPlan:
    """A plan written by «plan --out». Raises DiagnosticsError when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DiagnosticsError(
            error("plan-unreadable", f"The plan {path} can't be read", detail=str(problem))
        ) from problem
    return planning.parse_saved(text, str(path))
