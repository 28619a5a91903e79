"""Where the tools work: a folder, an environment of the project in it if there is one, and the target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from nexus.api.folder import AsyncFolder
from nexus.api.live import Target
from nexus.api.project import AsyncProject
from nexus.manifest import find_project
from nexus.model.diagnostics import DiagnosticsError


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Seat:
    """What the server was started with. ``process`` is its environment; never printed, as keys are in it."""

    folder: Path
    environment: str
    process: Mapping[str, str]
    local: bool = False

    @property
    def _target(self) -> Target | None:
        return "local" if self.local else None

    def load(self, environment: str | None, variables: Mapping[str, object]) -> AsyncProject:
        """The project of the folder. Raises DiagnosticsError with all that is wrong."""
        return AsyncProject.load(
            self.folder,
            environment=environment or self.environment,
            variables=variables,
            target=self._target,
            process=self.process,
        )

    def live(self, environment: str | None = None) -> AsyncFolder:
        """For commands on live sandboxes and what is remembered, inside of a project or not."""
        return AsyncFolder(
            self.folder, environment=environment or self.environment, target=self._target, process=self.process
        )

    def read_source(self, name: str) -> Sequence[str] | None:
        """Lines of a file of the project, for messages that show them; None where it can't be read."""
        try:
            return (find_project(self.folder).parent / name).read_text(encoding="utf-8").splitlines()
        except (DiagnosticsError, OSError, UnicodeDecodeError):
            return None
