"""The use case `run` is an apply of some steps: which ones, and with which options."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.model.changes import PlanOptions
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.suggestions import did_you_mean
from nexus.workflows.loading import Project

_STEP = "step"


def run_options(project: Project, pipeline: str, step: str | None, *, force: bool) -> PlanOptions:
    """An apply of what is due of a pipeline, or of its one ``step``; ``force`` runs what is not due as well.

    Raises DiagnosticsError when there are no such steps.
    """
    steps = _steps_of(project, pipeline, step)
    return PlanOptions(targets=steps, run=steps, replace=steps if force else ())


def _steps_of(project: Project, pipeline: str, step: str | None) -> tuple[Address, ...]:
    """The blocks of all steps of a pipeline, or of its one ``step``. Raises DiagnosticsError when there are none."""
    named = [address.group.name.split(".") for address in project.desired.resources if address.kind == _STEP]
    found = dict.fromkeys(name for owner, name in named if owner == pipeline)
    if not found:
        owners = {owner for owner, _ in named}
        raise DiagnosticsError(
            error(
                "unknown-pipeline",
                f"There is no pipeline «{pipeline}» with steps",
                hint=did_you_mean(pipeline, owners) or "declare it under pipelines",
            )
        )
    if step is not None and step not in found:
        raise DiagnosticsError(
            error("unknown-step", f"The pipeline {pipeline} has no step «{step}»", hint=did_you_mean(step, found))
        )
    return tuple(Address(_STEP, f"{pipeline}.{name}") for name in found if step in (None, name))
