"""A project in an event loop. Thin: each method opens what a use case works with, and calls it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from nexus.api import errors
from nexus.api.account import AsyncLive, Target
from nexus.api.live import Grounds
from nexus.api.loading import findings, load_request
from nexus.api.ongoing import Ongoing, under_way
from nexus.api.plans import plan_options
from nexus.api.remembered import AsyncRemembered
from nexus.api.sandboxes import LanguageName
from nexus.kinds.step_fields import Language
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, Severity
from nexus.model.events import Event
from nexus.planning import DriftReport, SavedPlan
from nexus.providers.operating import Executed
from nexus.stores import Backend, local_backend
from nexus.wiring import open_session
from nexus.workflows import applying, drifting, importing, lifetimes, loading, planning, rebuilding
from nexus.workflows.applying import Applied, ApplyRequest, BindInterrupt
from nexus.workflows.importing import Imported
from nexus.workflows.lifetimes import Deletion
from nexus.workflows.operating import Place
from nexus.workflows.pipelines import run_options
from nexus.workflows.rebuilding import Rebuilt
from nexus.workflows.session import Session

_MADE_BESIDE = ("catalogue", "setup")
"""Kinds of objects that no block is about."""

OnEvent = Callable[[Event], None]
Approve = Callable[[Plan], bool]


class AsyncProject(AsyncLive, AsyncRemembered):
    """A project whose manifest is right, for programs with an event loop. Made by :meth:`load`.

    Each method looks at the target anew. All raise NexusError when something is in the way. Cancelling a plan changes
    nothing; cancelling an apply gives up what is in flight, and the next one finds out what came of it.
    """

    def __init__(self, request: loading.LoadRequest, *, state_folder: Path | None = None) -> None:
        self._request = request
        with errors.of_the_manifest():
            self._loaded = loading.load(request)
        self._state_folder = state_folder or self._loaded.root
        AsyncLive.__init__(self, Grounds(process=request.process, place=self._place, alerts=self._alerts))
        AsyncRemembered.__init__(self, self._backend)

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
    ) -> AsyncProject:
        """As ``nexus.load``, for programs with an event loop. There is nothing to await: it touches no network."""
        folder = None if state_folder is None else Path(state_folder).absolute()
        return cls(
            load_request(
                path,
                environment=environment,
                variables=variables,
                variable_files=variable_files,
                target=target,
                instance=instance,
                plan=plan,
            ),
            state_folder=folder,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, environment={self.environment!r})"

    @property
    def name(self) -> str:
        """As in the manifest."""
        return self._loaded.name

    @property
    def environment(self) -> str:
        """With the name of the instance, where it is one."""
        return self._loaded.environment

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

    def validate(self) -> tuple[Diagnostic, ...]:
        """What is wrong with the manifest as it is on disk by now, and worth knowing of it; errors are not raised."""
        return findings(self._request)

    async def plan(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        replace: Iterable[str] = (),
        destroy: bool = False,
        refresh: bool = True,
        deep: bool = False,
        refresh_only: bool = False,
        allow_missing: bool = False,
    ) -> Plan:
        """What an apply would do now. Changes nothing. Addresses are texts such as ``sandbox.web``.

        ``deep`` looks into sandboxes too; without ``refresh`` nothing is looked at. ``refresh_only`` plans to take what
        is out there into the state and to change nothing else. ``allow_missing`` believes that everything is gone, even
        where it looks like another account.
        """
        options = plan_options(
            targets,
            excludes,
            replace,
            destroy=destroy,
            refresh=refresh,
            deep=deep,
            refresh_only=refresh_only,
            allow_missing=allow_missing,
        )
        async with self._session() as session:
            return (await planning.plan(self._loaded, session, options)).plan

    async def drift(self, *, deep: bool = True, allow_missing: bool = False) -> DriftReport:
        """What is not as it was applied. Changes nothing. ``deep`` looks into sandboxes, too."""
        async with self._session() as session:
            return await drifting.find_drift(self._loaded, session, deep=deep, allow_missing=allow_missing)

    async def apply(
        self,
        plan: Plan | None = None,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        replace: Iterable[str] = (),
        deep: bool = False,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Make what is out there match the manifest; with a ``plan``, do exactly that.

        A plan that is not what would be done by now is refused: StalePlanError says what differs. Without a plan,
        ``approve`` is asked once with the one that is made; without that, yes. ``on_event`` is told what happens, from
        the event loop's thread. ``parallelism`` None leaves it to the manifest. ``lock_timeout`` is in seconds. Raises
        ApplyError when some of it failed.
        """
        options = plan_options(targets, excludes, replace, deep=deep)
        request = _request(plan, options, parallelism, lock_timeout)
        return await self._apply(request, approve, on_event or _ignore, _leave_interrupts)

    async def destroy(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Delete what the project made. Otherwise like :meth:`apply`."""
        request = _request(None, plan_options(targets, excludes, destroy=True), parallelism, lock_timeout)
        return await self._apply(request, approve, on_event or _ignore, _leave_interrupts)

    async def run(
        self,
        pipeline: str,
        step: str | None = None,
        *,
        force: bool = False,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Run the steps of a pipeline that are due, or its one ``step``, and first what they need.

        ``force`` runs them even if nothing that they are made of has changed. Otherwise like :meth:`apply`.
        """
        request = _request(None, run_options(self._loaded, pipeline, step, force=force), parallelism, lock_timeout)
        return await self._apply(request, approve, on_event or _ignore, _leave_interrupts)

    def applying(
        self,
        plan: Plan | None = None,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        replace: Iterable[str] = (),
        deep: bool = False,
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`apply` with its events to iterate over, as ``async with project.applying() as ongoing``.

        The block's end waits for the end of the apply, and raises ApplyError when some of it failed. What is raised in
        the block cancels the apply.
        """
        options = plan_options(targets, excludes, replace, deep=deep)
        return self._under_way(_request(plan, options, parallelism, lock_timeout), approve)

    def destroying(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`destroy` with its events to iterate over, like :meth:`applying`."""
        options = plan_options(targets, excludes, destroy=True)
        return self._under_way(_request(None, options, parallelism, lock_timeout), approve)

    def running(
        self,
        pipeline: str,
        step: str | None = None,
        *,
        force: bool = False,
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`run` with its events to iterate over, like :meth:`applying`."""
        options = run_options(self._loaded, pipeline, step, force=force)
        return self._under_way(_request(None, options, parallelism, lock_timeout), approve)

    async def import_sandbox(self, address: str, sandbox_id: str, *, lock_timeout: float = 0.0) -> Imported:
        """Take over a live sandbox that nexus did not make, as ``address``. Nothing is done to it.

        What differs from its block is in ``change``, and left for the next apply.
        """
        async with self._session() as session:
            return await importing.import_sandbox(
                self._loaded, session, Address.parse(address), sandbox_id, lock_timeout
            )

    async def rebuild_state(self, *, force: bool = False, lock_timeout: float = 0.0) -> Rebuilt:
        """Find everything again from the live objects alone, for a state that was lost. Nothing out there changes.

        Without ``force``, a state is not replaced by nothing at all: then NexusError is raised.
        """
        async with self._session() as session:
            return await rebuilding.rebuild(self._loaded, session, lambda _: True, lock_timeout, sure=force)

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

    async def delete_all(self) -> Deletion:
        """Remove every live sandbox of the project's environment, its forks too. The state is not changed.

        :meth:`destroy` takes down a project; this is for what it does not know of.
        """
        async with self._grounds.open() as ground:
            found = await lifetimes.find_all(ground.place, ground.operator)
            return await lifetimes.delete(ground.operator, found)

    async def _apply(
        self, request: ApplyRequest, approve: Approve | None, on_event: OnEvent, bind_interrupt: BindInterrupt
    ) -> Applied:
        async with self._session() as session:
            with errors.refusing_stale_plans():
                applied = await applying.apply(
                    self._loaded,
                    session,
                    request,
                    approve=approve or _yes,
                    sink=on_event,
                    bind_interrupt=bind_interrupt,
                )
        return errors.raise_if_failed(applied)

    def _under_way(self, request: ApplyRequest, approve: Approve | None) -> AbstractAsyncContextManager[Ongoing]:
        return under_way(lambda tell, bind: self._apply(request, approve, tell, bind))

    def _session(self) -> AbstractAsyncContextManager[Session]:
        return open_session(self._loaded, self._request.process, backend=self._backend())

    def _backend(self) -> Backend:
        """One for each use: a lock is held by one of them."""
        return local_backend(self._state_folder, self._loaded.environment)

    async def _place(self) -> Place:
        return Place(
            project=self.name, environment=self.environment, manifest=self._loaded.manifest, state=await self.state()
        )

    def _alerts(self, address: str) -> Mapping[str, int]:
        spec = self._loaded.desired.resources.get(Address.parse(address))
        return {} if spec is None else spec.alerts


def _request(plan: Plan | None, options: PlanOptions, parallelism: int | None, lock_timeout: float) -> ApplyRequest:
    if plan is not None and options != PlanOptions():
        raise ValueError("a plan is applied as it is: no selection beside it")
    saved = None if plan is None else SavedPlan(plan)
    return ApplyRequest(options=options, saved=saved, parallelism=parallelism, lock_timeout=lock_timeout)


def _yes(plan: Plan) -> bool:  # noqa: ARG001
    return True


def _ignore(event: Event) -> None:
    """Nobody listens."""


def _leave_interrupts(interrupt: Callable[[], None], /) -> None:
    """Signals belong to the program that imports us: a KeyboardInterrupt cancels the run."""
