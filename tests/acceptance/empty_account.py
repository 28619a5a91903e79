"""Plans for an account in which there is nothing yet: made without an engine, in milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from nexus.kinds.registry import KINDS
from nexus.model.changes import Plan
from nexus.model.diagnostics import Diagnostic
from nexus.model.observation import Observation
from nexus.model.state import State, Target
from nexus.model.values import fingerprinter
from nexus.planning import PlanRequest, make_plan
from nexus.workflows.loading import LoadRequest, load
from tests.fakes.applier import NOW


def first_plan(folder: Path, environment: str = "default") -> tuple[Plan, Sequence[Diagnostic]]:
    """What the first plan of a project is, and what loading it had to say."""
    project = load(LoadRequest(path=folder, environment=environment))
    request = PlanRequest(
        graph=project.desired,
        kinds=KINDS,
        state=State(lineage="lineage", project=project.name, target=Target("local")),
        observation=Observation(records={}, catalogue={}),
        files=project.files,
        fingerprint=fingerprinter(b"key of the state"),
        now=NOW,
        project=project.name,
        environment=environment,
        target=Target("local"),
        variables=project.variables,
    )
    return make_plan(request).plan, project.diagnostics
