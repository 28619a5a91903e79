"""What changes what is out there: apply, destroy, and runs of pipelines, at once or with their events as a stream."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager

from nexus.api import errors
from nexus.api.events import Approve, OnEvent, ignore, leave_interrupts, yes
from nexus.api.live import Target
from nexus.api.ongoing import Ongoing, under_way
from nexus.api.plans import plan_options
from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.environments import Environment
from nexus.planning import SavedPlan
from nexus.stores import Backend
from nexus.wiring import open_session
from nexus.workflows import applying
from nexus.workflows.applying import Applied, ApplyRequest, BindInterrupt
from nexus.workflows.loading import Project as LoadedProject
from nexus.workflows.pipelines import run_options
from nexus.workflows.session import Session


class AsyncChanging:
    """A part of :class:`AsyncProject`. ``backend`` opens the stores of the project, anew for each use, and
    ``elsewhere`` those of another environment of it.
    """

    def __init__(
        self,
        loaded: LoadedProject,
        backend: Callable[[], Backend],
        elsewhere: Callable[[Environment], Backend],
        process: Mapping[str, str],
        target: Target | None,
    ) -> None:
        self._loaded = loaded
        self._backend = backend
        self._elsewhere = elsewhere
        self._process = process
        self._target = target

    async def apply(
        self,
        plan: Plan | None = None,
        *,
        targets: Iterable[str | Address] = (),
        excludes: Iterable[str | Address] = (),
        replace: Iterable[str | Address] = (),
        deep: bool = False,
        options: PlanOptions | None = None,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        bind_interrupt: BindInterrupt | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Make what is out there match the manifest; with a ``plan``, do exactly that.

        A plan that is not what would be done by now is refused: StalePlanError says what differs. Without a plan,
        ``approve`` is asked once with the one that is made; without that, yes. ``options`` are all that a plan can be
        asked for as one value, in place of the others. ``on_event`` is told what happens, from the event loop's thread.
        ``bind_interrupt`` is handed, once operations begin, what ends the run early: called, it begins nothing new;
        called again, it cancels what is in flight. ``parallelism`` None leaves it to the manifest. ``lock_timeout`` is
        in seconds. Raises ApplyError when some of it failed.
        """
        asked = plan_options(targets, excludes, replace, deep=deep, options=options)
        return await self._apply(_request(plan, asked, parallelism, lock_timeout), approve, on_event, bind_interrupt)

    async def destroy(
        self,
        *,
        targets: Iterable[str | Address] = (),
        excludes: Iterable[str | Address] = (),
        allow_missing: bool = False,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        bind_interrupt: BindInterrupt | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Delete what the project made. Otherwise like :meth:`apply`.

        ``allow_missing`` believes that everything is gone, even where it looks like another account.
        """
        asked = plan_options(targets, excludes, destroy=True, allow_missing=allow_missing)
        return await self._apply(_request(None, asked, parallelism, lock_timeout), approve, on_event, bind_interrupt)

    async def run(
        self,
        pipeline: str,
        step: str | None = None,
        *,
        force: bool = False,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        bind_interrupt: BindInterrupt | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Run the steps of a pipeline that are due, or its one ``step``, and first what they need.

        ``force`` runs them even if nothing that they are made of has changed. Otherwise like :meth:`apply`.
        """
        asked = self.run_options(pipeline, step, force=force)
        return await self._apply(_request(None, asked, parallelism, lock_timeout), approve, on_event, bind_interrupt)

    async def promote(
        self,
        *templates: str | Address,
        source: str,
        approve: Approve | None = None,
        on_event: OnEvent | None = None,
        bind_interrupt: BindInterrupt | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Give this environment the builds that templates have in the environment ``source``; nothing is built anew.

        All templates, or those that are named, with the templates that they build on. Tags move as an apply moves them.
        Raises NexusError where the files ask for builds that the source does not have. Otherwise like :meth:`apply`.
        """
        asked = plan_options(templates, promote_from=source)
        return await self._apply(_request(None, asked, parallelism, lock_timeout), approve, on_event, bind_interrupt)

    def applying(
        self,
        plan: Plan | None = None,
        *,
        targets: Iterable[str | Address] = (),
        excludes: Iterable[str | Address] = (),
        replace: Iterable[str | Address] = (),
        deep: bool = False,
        options: PlanOptions | None = None,
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`apply` with its events to iterate over, as ``async with project.applying() as ongoing``.

        The block's end waits for the end of the apply, and raises ApplyError when some of it failed. What is raised in
        the block cancels the apply.
        """
        asked = plan_options(targets, excludes, replace, deep=deep, options=options)
        return self._under_way(_request(plan, asked, parallelism, lock_timeout), approve)

    def promoting(
        self,
        *templates: str | Address,
        source: str,
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`promote` with its events to iterate over, like :meth:`applying`."""
        asked = plan_options(templates, promote_from=source)
        return self._under_way(_request(None, asked, parallelism, lock_timeout), approve)

    def destroying(
        self,
        *,
        targets: Iterable[str | Address] = (),
        excludes: Iterable[str | Address] = (),
        allow_missing: bool = False,
        approve: Approve | None = None,
        parallelism: int | None = None,
        lock_timeout: float = 0.0,
    ) -> AbstractAsyncContextManager[Ongoing]:
        """:meth:`destroy` with its events to iterate over, like :meth:`applying`."""
        asked = plan_options(targets, excludes, destroy=True, allow_missing=allow_missing)
        return self._under_way(_request(None, asked, parallelism, lock_timeout), approve)

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
        asked = self.run_options(pipeline, step, force=force)
        return self._under_way(_request(None, asked, parallelism, lock_timeout), approve)

    def run_options(self, pipeline: str, step: str | None = None, *, force: bool = False) -> PlanOptions:
        """What :meth:`run` asks for, to be planned, or applied. Raises NexusError when there are no such steps."""
        return run_options(self._loaded, pipeline, step, force=force)

    async def _apply(
        self,
        request: ApplyRequest,
        approve: Approve | None,
        on_event: OnEvent | None,
        bind_interrupt: BindInterrupt | None,
    ) -> Applied:
        async with self._session() as session:
            with errors.refusing_stale_plans():
                applied = await applying.apply(
                    self._loaded,
                    session,
                    request,
                    approve=approve or yes,
                    sink=on_event or ignore,
                    bind_interrupt=bind_interrupt or leave_interrupts,
                )
        return errors.raise_if_failed(applied)

    def _under_way(self, request: ApplyRequest, approve: Approve | None) -> AbstractAsyncContextManager[Ongoing]:
        return under_way(lambda tell, bind: self._apply(request, approve, tell, bind))

    def _session(
        self, loaded: LoadedProject | None = None, *, backend: Backend | None = None
    ) -> AbstractAsyncContextManager[Session]:
        """For the project, or for what an edit would make of it; with its own stores, if nothing else is said."""
        return open_session(
            loaded or self._loaded,
            self._process,
            backend or self._backend(),
            target=self._target,
            backend_of=self._elsewhere,
        )


def _request(plan: Plan | None, options: PlanOptions, parallelism: int | None, lock_timeout: float) -> ApplyRequest:
    if plan is not None and options != PlanOptions():
        raise ValueError("a plan is applied as it is: no selection beside it")
    saved = None if plan is None else SavedPlan(plan)
    return ApplyRequest(options=options, saved=saved, parallelism=parallelism, lock_timeout=lock_timeout)
