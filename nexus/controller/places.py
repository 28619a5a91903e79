"""Where a controller keeps what is its own: in ``NEXUS_HOME/controller``, by the names of its projects.

Repositories, what is remembered of the projects in them, and plans that wait, where their state is on no server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nexus.controller.approvals import SHOWN_DIGEST, WAITING, Approvals, Waiting
from nexus.controller.leadership import LEASE
from nexus.controller.projects import Managed
from nexus.controller.settings import Key, ProjectSettings
from nexus.manifest import declared_environments, find_project, read
from nexus.model.diagnostics import DiagnosticsError, error
from nexus.stores import FileDocument, LockInfo
from nexus.wiring import home, new_holder
from nexus.workflows.outputs import document_of

_SUFFIX: Final = ".json"


@dataclass(frozen=True, slots=True)
class Places:
    """Those of this machine. ``process`` is the environment."""

    process: Mapping[str, str]

    @property
    def root(self) -> Path:
        return home(self.process) / "controller"

    def approver(self) -> LockInfo:
        """Who gives an approval here."""
        return new_holder("approve")

    def project(self, name: str) -> Path:
        return self.root / "projects" / name

    def state_folder(self, project: ProjectSettings) -> Path:
        """Beside the files of a folder, where people find it too; commits come and go, so theirs is apart."""
        return project.place if isinstance(project.place, Path) else self.project(project.name)

    def approvals(self, key: Key, project: Managed) -> Approvals:
        """Beside the state where others can reach that, else in a file."""
        shared = project.document_beside(LEASE, WAITING)
        return self._of_a_file(key) if shared is None else Approvals(key, shared, is_shared=True)

    async def waiting(self, folder: Path, environment: str | None) -> list[tuple[Approvals, Waiting]]:
        """Plans that wait on this machine, and beside the state of the project in ``folder``, if there is one.

        Of that, all environments that it declares are looked at, or the one that is named.
        """
        found = [*self._of_files(), *self._beside_state(folder, environment)]
        looked = [(approvals, await approvals.get()) for approvals in found]
        return [(approvals, waiting) for approvals, waiting in looked if waiting is not None]

    def _of_files(self) -> list[Approvals]:
        paths = sorted((self.root / WAITING).glob(f"*/*{_SUFFIX}"))
        return [self._of_a_file(Key(path.parent.name, path.name.removesuffix(_SUFFIX))) for path in paths]

    def _of_a_file(self, key: Key) -> Approvals:
        return Approvals(key, FileDocument(self.root / WAITING / key.project / f"{key.environment}{_SUFFIX}"))

    def _beside_state(self, folder: Path, environment: str | None) -> list[Approvals]:
        try:
            manifest = read(find_project(folder))
        except DiagnosticsError:
            return []  # there is no project here
        found = []
        for name in declared_environments(manifest) if environment is None else (environment,):
            document = document_of(manifest.root, name, LEASE, WAITING, self.process)
            if document is not None:
                found.append(Approvals(Key(manifest.project, name), document, is_shared=True))
        return found


async def find_waiting(
    places: Places, folder: Path, project: str | None, environment: str | None, digest: str | None
) -> tuple[Approvals, Waiting]:
    """The one plan that is meant. Raises DiagnosticsError where that is none, or more than one."""
    found = await places.waiting(folder, environment)
    meant = [
        (approvals, item)
        for approvals, item in found
        if project in (None, item.key.project)
        and environment in (None, item.key.environment)
        and (digest is None or (len(digest) >= SHOWN_DIGEST and item.digest.startswith(digest)))
    ]
    if len(meant) == 1:
        return meant[0]
    others = "say which: nexus reconcile approve PROJECT -e ENVIRONMENT"
    nothing = (
        "plans wait with the policy approve: on the controller's machine, or, where the state is on a server, "
        "wherever the project's folder is"
    )
    listed = ", ".join(f"{item.key} ({item.short})" for _, item in found) or "none"
    raise DiagnosticsError(
        error(
            "nothing-to-approve",
            "No plan like that waits for approval" if not meant else "More than one plan waits for approval",
            detail=f"Plans that wait: {listed}.",
            hint=others if found else nothing,
        )
    )
