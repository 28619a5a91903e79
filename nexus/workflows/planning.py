"""The use case `plan`: survey, decide, and hold a saved plan against what would be done now."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from nexus import planning
from nexus.kinds.base import SourceFiles
from nexus.kinds.registry import KINDS
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostics, DiagnosticsError, error
from nexus.model.values import fingerprinter
from nexus.planning import Evaluation, PlanRequest
from nexus.stores import fingerprint_key
from nexus.workflows.loading import Project
from nexus.workflows.session import Session
from nexus.workflows.surveying import Survey, survey

if TYPE_CHECKING:
    from nexus.planning import SavedPlan


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Draft:
    """A plan with what an apply of it needs besides. Never printed: the evaluation knows secrets."""

    plan: Plan
    survey: Survey
    evaluation: Evaluation
    files: SourceFiles


async def plan(project: Project, session: Session, options: PlanOptions) -> Draft:
    """What an apply would do now. Changes nothing, takes no lock."""
    found = await survey(project, session, refresh=options.refresh, destroy=options.destroy, for_apply=False)
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
            options=options,
        )
    )
    notes = Diagnostics([*project.diagnostics, *found.diagnostics, *planned.plan.diagnostics])
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


def read_saved(path: Path) -> SavedPlan:
    """A plan written by «plan --out». Raises DiagnosticsError when it can't be read."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise DiagnosticsError(
            error("plan-unreadable", f"The plan {path} can't be read", detail=str(problem))
        ) from problem
    return planning.parse_saved(text, str(path))
