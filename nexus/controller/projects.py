"""Between a controller and ``nexus.api``: an environment at a revision becomes a project that plans and applies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Literal, Protocol

from nexus import Applied, AsyncProject, DriftReport, Event, ListedRun, Plan
from nexus.controller.settings import EnvironmentSettings
from nexus.controller.sources import Revision
from nexus.stores import Lock, SharedDocument


class Applying(Protocol):
    """An apply under way: its events, its end, and how to interrupt it. As ``nexus.Ongoing``."""

    def __aiter__(self) -> AsyncIterator[Event]: ...

    async def result(self) -> Applied: ...

    def interrupt(self) -> None: ...


class Managed(Protocol):
    """The part of ``nexus.AsyncProject`` that a controller needs."""

    async def plan(self, *, deep: bool = False) -> Plan: ...

    async def drift(self, *, deep: bool = True) -> DriftReport: ...

    def applying(
        self, plan: Plan | None = None, *, deep: bool = False, lock_timeout: float = 0.0
    ) -> AbstractAsyncContextManager[Applying]: ...

    def lock_beside(self, name: str) -> Lock: ...

    def document_beside(self, name: str, document: str) -> SharedDocument | None: ...

    async def runs(self, *, limit: int | None = None) -> Sequence[ListedRun]: ...

    async def picture(self, form: Literal["svg", "html"], plan: Plan | None = None) -> str: ...


class Load(Protocol):
    """Reads and checks an environment's project as it is at a revision. Raises DiagnosticsError when it is wrong."""

    async def __call__(self, environment: EnvironmentSettings, revision: Revision, /) -> Managed: ...


class Loader:
    """Loads with the environment ``process``. What is remembered is beside the files, unless a project has a folder."""

    def __init__(self, process: Mapping[str, str], state_folders: Mapping[str, Path]) -> None:
        self._process = process
        self._state_folders = state_folders

    async def __call__(self, environment: EnvironmentSettings, revision: Revision, /) -> Managed:
        return await asyncio.to_thread(
            AsyncProject.load,
            revision.manifest,
            environment=environment.key.environment,
            variables=environment.variables,
            target=environment.target,
            state_folder=self._state_folders.get(environment.key.project),
            commit=revision.commit,
            process=self._process,
        )
