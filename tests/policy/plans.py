"""Plans as policies judge them: real manifests on disk, an account in memory."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.model.state import Target
from nexus.model.values import Value
from nexus.workflows.loading import LoadRequest, Project, load
from nexus.workflows.planning import Draft, drafted
from nexus.workflows.session import Session
from nexus.workflows.surveying import Survey
from tests.fakes.applier import World

HEAD = "apiVersion: nexus/v1\nproject: demo\n"


@dataclass
class Place:
    """A project's folder and its account. ``target`` is where plans would be applied."""

    folder: Path
    world: World = field(default_factory=World)
    target: Target = field(default_factory=lambda: Target("local"))

    def project(self, text: str, environment: str = "default") -> Project:
        (self.folder / "nexus.yaml").write_text(HEAD + text)
        return load(LoadRequest(path=self.folder, environment=environment))

    def draft(
        self, text: str, environment: str = "default", secrets: dict[str, Value] | None = None, **options: object
    ) -> Draft:
        found = Survey(
            state=self.world.state, target=self.target, observation=self.world.observe(), secrets=secrets or {}
        )
        session = cast(Session, SimpleNamespace(clock=SimpleNamespace(now=lambda: self.world.now)))
        asked = PlanOptions(**options)  # type: ignore[arg-type]
        return asyncio.run(drafted(self.project(text, environment), session, found, asked))

    def plan(self, text: str, **given: object) -> Plan:
        return self.draft(text, **given).plan  # type: ignore[arg-type]

    def wrong(self, text: str, environment: str = "default") -> tuple[Diagnostic, ...]:
        """What is wrong with a manifest before there is a plan."""
        try:
            return self.project(text, environment).diagnostics
        except DiagnosticsError as problem:
            return problem.diagnostics


def told(plan: Plan) -> list[str]:
    """What policies say of a plan: ``denied sandbox.web 4:5 The internet is on``."""
    found = []
    for item in plan.diagnostics:
        assert item.code.startswith("policy-"), item
        place = "" if item.range is None else f"{item.range.start.line}:{item.range.start.column}"
        found.append(" ".join(filter(None, (item.code.removeprefix("policy-"), item.address, place, item.summary))))
    return found
