"""Where the tools work: a folder, an environment of the project in it if there is one, and the target."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from nexus.manifest import find_project
from nexus.model.diagnostics import DiagnosticsError
from nexus.providers.operating import Operator
from nexus.stores import memory_backend
from nexus.wiring import choose_target, open_operator, open_session
from nexus.workflows.loading import LoadRequest, Project, load
from nexus.workflows.operating import Place, available_secrets, check_target, find_place
from nexus.workflows.session import Session


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Seat:
    """What the server was started with. ``process`` is its environment; never printed, as keys are in it."""

    folder: Path
    environment: str
    process: Mapping[str, str]
    local: bool = False

    def load(self, environment: str | None, variables: Mapping[str, object]) -> Project:
        """The project of the folder. Raises DiagnosticsError with all that is wrong."""
        return load(
            LoadRequest(
                path=self.folder,
                environment=environment or self.environment,
                process=self.process,
                assignments=tuple(f"{name}={_text(value)}" for name, value in variables.items()),
            )
        )

    @asynccontextmanager
    async def session(self, project: Project) -> AsyncIterator[Session]:
        """For what a project is planned and applied with. Starts the local engine when it is the target."""
        async with open_session(project, self.process, local=self.local) as session:
            yield session

    @asynccontextmanager
    async def passing_session(self, project: Project) -> AsyncIterator[Session]:
        """The same, for a project that nothing is remembered of."""
        async with open_session(project, self.process, local=self.local, backend=memory_backend()) as session:
            yield session

    @asynccontextmanager
    async def live(self) -> AsyncIterator[tuple[Place, Operator]]:
        """For commands on live sandboxes, inside of a project or not. The project's secrets are taken out of logs."""
        place = await find_place(self.folder, self.environment)
        choice = choose_target(self.process, place.provider_settings, local=self.local)
        check_target(place, choice.kind)
        secrets = available_secrets(place, self.process)
        async with open_operator(choice, self.process, secrets) as operator:
            yield replace(place, target=choice.kind), operator

    def read_source(self, name: str) -> Sequence[str] | None:
        """Lines of a file of the project, for messages that show them; None where it can't be read."""
        try:
            return (find_project(self.folder).parent / name).read_text(encoding="utf-8").splitlines()
        except (DiagnosticsError, OSError, UnicodeDecodeError):
            return None


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
