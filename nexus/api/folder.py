"""A folder as it stands: what is there to be worked with, whatever is wrong with its manifest."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from nexus.api.account import AsyncLive
from nexus.api.events import Confirm, yes
from nexus.api.given import process_or_own
from nexus.api.live import Grounds, Target
from nexus.api.remembered import AsyncRemembered
from nexus.model.environments import Environment, Standing
from nexus.stores import Backend
from nexus.wiring import new_holder
from nexus.workflows import environments, operating, state_migrating, status
from nexus.workflows.outputs import backend_of
from nexus.workflows.state_migrating import Migrated, Migration


class AsyncFolder(AsyncLive, AsyncRemembered):
    """The folder of a project, or any other, as commands find it that need no valid manifest.

    In a project (or below its folder) the live sandboxes are those of its environment, by their names; elsewhere all of
    the account, by their ids. What is remembered is there only in a project: without one, it raises NexusError.
    ``target`` and ``process`` are as those of :class:`AsyncAccount`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] = ".",
        *,
        environment: str = "default",
        target: Target | None = None,
        process: Mapping[str, str] | None = None,
    ) -> None:
        self._path = Path(path).absolute()
        own = process_or_own(process)
        AsyncLive.__init__(self, Grounds(process=own, target=target, place=self._place, alerts=self._alerts))
        self._asked = environment
        AsyncRemembered.__init__(self, self._backend, Environment.parse(environment).name)

    @property
    def path(self) -> Path:
        """As it was given, made absolute."""
        return self._path

    def _backend(self) -> Backend:
        return backend_of(self._path, self._asked, self._grounds.process)

    async def environments(self) -> tuple[Standing, ...]:
        """All environments that the project declares, and those that have a state here, with what is known of each."""
        return await environments.standings(self._path, self._grounds.process)

    async def migrate_state(self, *, confirm: Confirm | None = None, lock_timeout: float = 0.0) -> Migrated:
        """Bring the state from where it was last used to where the manifest keeps it by now.

        ``confirm`` is asked with a question first; without it, yes. A state of another lineage is never replaced.
        """
        migration = Migration(
            folder=self._path,
            environment=self._asked,
            process=self._grounds.process,
            holder=new_holder,
            patience=lock_timeout,
        )
        return await state_migrating.migrate(migration, confirm or yes)

    async def _place(self) -> operating.Place:
        return await operating.find_place(self._path, self._asked, self._grounds.process)

    def _alerts(self, address: str) -> Mapping[str, int]:
        return status.alerts_of(self._path, self._asked, self._grounds.process, address)
