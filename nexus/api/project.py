"""A project in an event loop. Thin: each method opens what a use case works with, and calls it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from nexus.api import errors, pictures, revisions
from nexus.api.account import AsyncLive
from nexus.api.changing import AsyncChanging
from nexus.api.events import Confirm, yes
from nexus.api.given import address_of
from nexus.api.live import BindInterrupt, Ground, Grounds, Target, Whereabouts
from nexus.api.loading import findings, load_request
from nexus.api.pictures import PictureFormat
from nexus.api.plans import plan_options
from nexus.api.pools import AsyncPools
from nexus.api.remembered import AsyncRemembered
from nexus.api.sandboxes import LanguageName
from nexus.kinds.step_fields import Language
from nexus.manifest import OWN_FOLDER, files_at, read
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.environments import Environment
from nexus.model.state import Commit
from nexus.planning import Difference, DriftReport
from nexus.providers.operating import Configured, Executed
from nexus.providers.reporting import Report
from nexus.schema.state_place import StatePlace
from nexus.stores import Backend, Lock, SharedDocument, memory_backend, open_backend, open_document
from nexus.wiring import choose_target
from nexus.workflows import drifting, environments, importing, loading, pinning, planning, rebuilding, writing_back
from nexus.workflows.configuring import Changes
from nexus.workflows.importing import Imported
from nexus.workflows.operating import Place, Sandbox
from nexus.workflows.outputs import place_of
from nexus.workflows.pinning import ALL, Locked, Tell
from nexus.workflows.rebuilding import Rebuilt
from nexus.workflows.writing_back import Writing

_MADE_BESIDE = ("catalogue", "setup")
"""Kinds of objects that no block is about."""


class AsyncProject(AsyncPools):
    """A project whose manifest is right, for programs with an event loop. Made by :meth:`load`.

    Each method looks at the target anew. All raise NexusError when something is in the way. Cancelling a plan changes
    nothing; cancelling an apply gives up what is in flight, and the next one finds out what came of it.
    """

    def __init__(
        self, request: loading.LoadRequest, *, target: Target | None = None, state_folder: Path | None = None
    ) -> None:
        grounds = Grounds(
            process=request.process,
            target=target,
            place=self._place,
            alerts=self._alerts,
            write_back=self._write_back,
        )
        with errors.of_the_manifest():
            loaded = loading.load(request)
        self._request = request
        self._state_folder = state_folder or loaded.root
        # An instance with a folder of its own is apart from all others: what tests use.
        is_apart = state_folder is not None and bool(request.instance)
        self._state_place = StatePlace() if is_apart else place_of(loaded.manifest, loaded.environment)
        AsyncChanging.__init__(self, loaded, self._open_backend, self._open_elsewhere, request.process, target)
        AsyncLive.__init__(self, grounds)
        AsyncRemembered.__init__(self, self._open_backend, loaded.environment)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str] = ".",
        *,
        environment: str = "default",
        variables: Mapping[str, object] | None = None,
        variable_files: Iterable[str | os.PathLike[str]] = (),
        target: Target | None = None,
        instance: str = "",
        plan: Plan | None = None,
        state_folder: str | os.PathLike[str] | None = None,
        commit: Commit | None = None,
        process: Mapping[str, str] | None = None,
    ) -> AsyncProject:
        """As ``nexus.load``, for programs with an event loop. There is nothing to await: it touches no network."""
        folder = None if state_folder is None else Path(state_folder).absolute()
        request = load_request(
            path,
            environment=environment,
            variables=variables,
            variable_files=variable_files,
            instance=instance,
            plan=plan,
            commit=commit,
            process=process,
        )
        return cls(request, target=target, state_folder=folder)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, environment={self.environment!r})"

    @property
    def name(self) -> str:
        """As in the manifest."""
        return self._loaded.name

    @property
    def folder(self) -> Path:
        """Where its ``nexus.yaml`` lies."""
        return self._loaded.root

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is worth knowing of the manifest."""
        return tuple(item for item in self._loaded.diagnostics if item.severity is Severity.WARNING)

    @property
    def addresses(self) -> tuple[str, ...]:
        """Of all that the manifest declares, such as ``sandbox.web`` and ``sandbox.worker["0"]``."""
        resources = self._loaded.desired.resources
        return tuple(sorted(str(address) for address in resources if address.kind not in _MADE_BESIDE))

    @property
    def object_count(self) -> int:
        """How many objects that comes to, with those that are made beside, such as templates of the catalogue."""
        return len(self._loaded.desired.resources)

    def validate(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the manifest as it is on disk by now, and worth knowing of it; errors are not raised."""
        return findings(self._request)

    async def where(self) -> Whereabouts:
        """Which target it is, and what decided that. Asks nothing of it."""
        choice = choose_target(self._process, self._loaded.provider_settings, asked=self._target)
        return Whereabouts(target=choice.kind, because=choice.because, project=self.name, environment=self.environment)

    async def plan(
        self,
        *,
        targets: Iterable[str | Address] = (),
        excludes: Iterable[str | Address] = (),
        replace: Iterable[str | Address] = (),
        destroy: bool = False,
        refresh: bool = True,
        deep: bool = False,
        refresh_only: bool = False,
        allow_missing: bool = False,
        options: PlanOptions | None = None,
    ) -> Plan:
        """What an apply would do now. Changes nothing. Addresses are texts such as ``sandbox.web``.

        ``deep`` looks into sandboxes too; without ``refresh`` nothing is looked at. ``refresh_only`` plans to take what
        is out there into the state and to change nothing else. ``allow_missing`` believes that everything is gone, even
        where it looks like another account. ``options`` are all of these as one value.

        A plan that policies deny is returned as well, to be looked at: ``is_denied`` says so, and ``diagnostics`` why.
        Applying or saving it raises NexusError.
        """
        asked = plan_options(
            targets,
            excludes,
            replace,
            destroy=destroy,
            refresh=refresh,
            deep=deep,
            refresh_only=refresh_only,
            allow_missing=allow_missing,
            options=options,
        )
        async with self._session() as session:
            return (await planning.plan(self._loaded, session, asked)).plan

    async def drift(self, *, deep: bool = True, allow_missing: bool = False) -> DriftReport:
        """What is not as it was applied. Changes nothing. ``deep`` looks into sandboxes, too."""
        async with self._session() as session:
            return await drifting.find_drift(self._loaded, session, deep=deep, allow_missing=allow_missing)

    async def picture(self, form: PictureFormat = "mermaid", plan: Plan | None = None) -> str:
        """The project's graph, with what a plan does to it, as ``mermaid``, ``dot``, ``svg`` or ``html``.

        Touches no network. How long operations take is told by earlier runs. ``html`` is one interactive page, with the
        last run along its time. No secret is ever in it.
        """
        return await pictures.picture(form, self._loaded, plan, self._open_backend())

    async def lock(self, upgrade: bool | Iterable[str] = False, *, tell: Tell | None = None) -> Locked:
        """Write ``nexus.lock``: the exact versions of all packages, and digests of what is uploaded.

        What is locked already stays as it is; what is new is resolved in sandboxes that are removed at once. With
        ``upgrade``, all blocks are resolved anew, or those that are named. ``tell`` is told what goes on, line by line.
        From the next load on, plans are made with what is locked.
        """
        names = (ALL,) if upgrade is True else tuple(upgrade or ())
        async with self._session(backend=memory_backend()) as session:
            return await pinning.lock(
                self._request, self._loaded, session, upgrade=names, tell=tell or (lambda _: None)
            )

    async def at(self, revision: str | int) -> AsyncProject:
        """The same project with its files as they were: to plan, and to apply, what was before.

        ``revision`` is the serial of an entry of :meth:`history`, or a commit, branch or tag of the project's Git
        repository. Nothing in the project's folder changes; state and target are those of now. Raises NexusError where
        no commit holds those files.
        """
        name = revisions.name_of(await self.history(), str(revision))
        trees = self._state_folder / OWN_FOLDER / "revisions"
        folder, found = await asyncio.to_thread(files_at, self._loaded.root, name, trees, self._process)
        request = replace(self._request, path=folder, texts={}, commit=found, revision=str(revision))
        project = AsyncProject(request, target=self._target, state_folder=self._state_folder)
        # Where the state is by now, wherever it was then.
        project._state_place = self._state_place
        return project

    def compare(self, other: AsyncProject) -> tuple[Difference, ...]:
        """What this environment and another one ask for differently, by address. Touches no network.

        Names that only tell the two apart are no difference. ``fields`` lead from this one to the ``other``.
        """
        return environments.differences(self._loaded, other._loaded)

    async def import_sandbox(self, address: str | Address, sandbox_id: str, *, lock_timeout: float = 0.0) -> Imported:
        """Take over a live sandbox that nexus did not make, as ``address``. Nothing is done to it.

        What differs from its block is in ``change``, and left for the next apply.
        """
        async with self._session() as session:
            return await importing.import_sandbox(self._loaded, session, address_of(address), sandbox_id, lock_timeout)

    async def block_for(self, address: str | Address, sandbox_id: str) -> str:
        """A block of the manifest that fits a live sandbox, and the entry that imports it as ``address``, as YAML."""
        async with self._session() as session:
            return await importing.manifest_for(session, address_of(address), sandbox_id)

    async def rebuild_state(
        self, *, force: bool = False, confirm: Confirm | None = None, lock_timeout: float = 0.0
    ) -> Rebuilt:
        """Find everything again from the live objects alone, for a state that was lost. Nothing out there changes.

        ``confirm`` is asked with a question before it is written; without it, yes. Without ``force``, a state is not
        replaced by nothing at all: then NexusError is raised.
        """
        async with self._session() as session:
            return await rebuilding.rebuild(self._loaded, session, confirm or yes, lock_timeout, sure=force)

    async def exec(
        self,
        sandbox: str,
        code: str,
        *,
        language: Language | LanguageName = "bash",
        timeout: float | None = None,  # noqa: ASYNC109 - it bounds what runs in the sandbox
    ) -> Executed:
        """Run code in a sandbox: short for ``sandbox(name).exec(code)``, which takes more."""
        return await self.sandbox(sandbox).exec(code, language=language, timeout=timeout)

    async def _write_back(
        self,
        ground: Ground,
        sandbox: Sandbox,
        changes: Changes,
        report: Report,
        bind_interrupt: BindInterrupt,
        patience: float,
    ) -> Configured:
        writing = Writing(
            request=self._request, open_session=self._session, bind_interrupt=bind_interrupt, patience=patience
        )
        return await writing_back.configure_and_write(ground.place, ground.operator, sandbox, changes, report, writing)

    def lock_beside(self, name: str) -> Lock:
        """A lock beside the state's own, in the same store: whoever holds it leads, of several programs that could.

        It keeps nobody from the state, and goes by the same lease.
        """
        return self._backend_of(f"{self._loaded.environment}.{name}").lock

    def document_beside(self, name: str, document: str) -> SharedDocument | None:
        """A small document where :meth:`lock_beside` has its lock, for programs that share something with that.

        None where the state is kept on this machine alone.
        """
        environment = f"{self._loaded.environment}.{name}"
        return open_document(self._state_place, self._state_folder, environment, document, self._request.process)

    def _open_backend(self) -> Backend:
        """One for each use: a lock is held by one of them."""
        return self._backend_of(self._loaded.environment)

    def _open_elsewhere(self, environment: Environment) -> Backend:
        """The stores of another environment, whose own file may keep them elsewhere."""
        manifest = self._loaded.manifest
        if environment.base != self._request.environment:
            manifest = read(manifest.root, environment=environment.base)
        place = place_of(manifest, environment.name)
        return open_backend(place, self._state_folder, environment.name, self._request.process)

    def _backend_of(self, environment: str) -> Backend:
        return open_backend(self._state_place, self._state_folder, environment, self._request.process)

    async def _place(self) -> Place:
        return Place(
            project=self.name, environment=self.environment, manifest=self._loaded.manifest, state=await self.state()
        )

    def _alerts(self, address: str) -> Mapping[str, int]:
        spec = self._loaded.desired.resources.get(Address.parse(address))
        return {} if spec is None else spec.alerts
