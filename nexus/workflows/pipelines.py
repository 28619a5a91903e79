"""What the command `run` means by the names of a pipeline and its steps."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.suggestions import did_you_mean
from nexus.workflows.loading import Project

_STEP = "step"


def steps_of(project: Project, pipeline: str, step: str | None) -> tuple[Address, ...]:
    """The blocks of all steps of a pipeline, or of its one ``step``. Raises DiagnosticsError when there are none."""
    named = [address.group.name.split(".") for address in project.desired.resources if address.kind == _STEP]
    found = dict.fromkeys(name for owner, name in named if owner == pipeline)
    if not found:
        owners = {owner for owner, _ in named}
        raise DiagnosticsError(
            error(
                "unknown-pipeline", f"There is no pipeline «{pipeline}» with steps", hint=did_you_mean(pipeline, owners)
            )
        )
    if step is not None and step not in found:
        raise DiagnosticsError(
            error("unknown-step", f"The pipeline {pipeline} has no step «{step}»", hint=did_you_mean(step, found))
        )
    return tuple(Address(_STEP, f"{pipeline}.{name}") for name in found if step in (None, name))
