"""nexus for Python programs: load a project, plan, apply, destroy, read outputs. Everything waits for its end.

A thin face over the use cases, like the command line: it decides nothing and prints nothing.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from nexus.model.addresses import Address
from nexus.model.changes import Plan, PlanOptions
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, Severity
from nexus.wiring import TargetKind, open_session
from nexus.workflows import applying, drifting, loading, outputs, planning
from nexus.workflows.applying import Applied, ApplyRequest

if TYPE_CHECKING:
    from nexus.model.events import Event
    from nexus.model.values import Value
    from nexus.planning import DriftReport
    from nexus.workflows.session import Session

__all__ = ["Applied", "ApplyError", "ManifestError", "NexusError", "Plan", "Project", "load"]

T = TypeVar("T")

NexusError = DiagnosticsError
"""Anything that went wrong and that somebody can mend; ``diagnostics`` say what, where, and how."""


class ManifestError(DiagnosticsError):
    """The manifest is wrong. ``diagnostics`` are all errors at once, and the warnings."""


class ApplyError(DiagnosticsError):
    """Some of an apply or a destroy failed. What was done is on record, and the next apply continues.

    ``applied`` tells how each part ended.
    """

    def __init__(self, applied: Applied, diagnostics: Iterable[Diagnostic]) -> None:
        super().__init__(diagnostics)
        self.applied = applied


def load(
    path: str | os.PathLike[str] = ".",
    *,
    environment: str = "default",
    variables: Mapping[str, object] | None = None,
    target: str | None = None,
) -> Project:
    """The project of a folder, or of a ``nexus.yaml``, read and checked as a whole. Touches no network.

    ``variables`` win over all other sources. ``target`` is ``local`` or ``e2b``; if not said, it is chosen as on the
    command line, from the process environment and the manifest. Raises ManifestError.
    """
    process = dict(os.environ)
    if target is not None:
        process["NEXUS_TARGET"] = TargetKind(target).value
    request = loading.LoadRequest(
        path=Path(path).absolute(),
        environment=environment,
        process=process,
        assignments=tuple(f"{name}={_text(value)}" for name, value in (variables or {}).items()),
    )
    try:
        return Project(loading.load(request))
    except DiagnosticsError as problem:
        raise ManifestError(problem.diagnostics) from problem


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


class Project:
    """A project whose manifest is right. Made by :func:`load`.

    Each method looks at the target anew. None may be called where an event loop runs already. All raise NexusError
    when something is in the way.
    """

    def __init__(self, loaded: loading.Project) -> None:
        self._loaded = loaded

    @property
    def name(self) -> str:
        return self._loaded.name

    @property
    def environment(self) -> str:
        return self._loaded.environment

    @property
    def folder(self) -> Path:
        """Where its ``nexus.yaml`` lies."""
        return self._loaded.root

    @property
    def warnings(self) -> tuple[Diagnostic, ...]:
        """What is worth knowing of the manifest."""
        return tuple(item for item in self._loaded.diagnostics if item.severity is Severity.WARNING)

    def plan(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        replace: Iterable[str] = (),
        destroy: bool = False,
        refresh: bool = True,
        deep: bool = False,
    ) -> Plan:
        """What an apply would do now. Changes nothing. Addresses are texts such as ``sandbox.web``.

        ``deep`` looks into sandboxes, too.
        """
        options = _options(targets, excludes, replace, destroy=destroy, refresh=refresh, deep=deep)
        return self._run(lambda session: planning.plan(self._loaded, session, options)).plan

    def drift(self, *, deep: bool = True) -> DriftReport:
        """What is not as it was applied. Changes nothing. ``deep`` looks into sandboxes, too."""
        return self._run(lambda session: drifting.find_drift(self._loaded, session, deep=deep))

    def apply(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        replace: Iterable[str] = (),
        deep: bool = False,
        approve: Callable[[Plan], bool] | None = None,
        on_event: Callable[[Event], None] | None = None,
        parallelism: int = 10,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Make what is out there match the manifest. ``approve`` is asked once with the plan; without it, yes.

        ``on_event`` is told what happens, from the thread that called. ``lock_timeout`` is in seconds. Raises
        ApplyError when some of it failed.
        """
        options = _options(targets, excludes, replace, destroy=False, refresh=True, deep=deep)
        return self._apply(options, approve, on_event, parallelism, lock_timeout)

    def destroy(
        self,
        *,
        targets: Iterable[str] = (),
        excludes: Iterable[str] = (),
        approve: Callable[[Plan], bool] | None = None,
        on_event: Callable[[Event], None] | None = None,
        parallelism: int = 10,
        lock_timeout: float = 0.0,
    ) -> Applied:
        """Delete what the project made. Otherwise like :meth:`apply`."""
        options = _options(targets, excludes, (), destroy=True, refresh=True)
        return self._apply(options, approve, on_event, parallelism, lock_timeout)

    def outputs(self) -> dict[str, Value]:
        """The outputs as of the last apply. Sensitive ones are None: nexus keeps no value of them."""
        backend = outputs.backend_of(self._loaded.root, self._loaded.environment)
        state = asyncio.run(outputs.read_state(backend))
        return {name: None if item.sensitive else item.value for name, item in state.outputs.items()}

    def _apply(
        self,
        options: PlanOptions,
        approve: Callable[[Plan], bool] | None,
        on_event: Callable[[Event], None] | None,
        parallelism: int,
        lock_timeout: float,
    ) -> Applied:
        request = ApplyRequest(options=options, parallelism=parallelism, lock_timeout=lock_timeout)
        applied = self._run(
            lambda session: applying.apply(
                self._loaded,
                session,
                request,
                approve=approve or _yes,
                sink=on_event or _ignore,
                bind_interrupt=_leave_interrupts,
            )
        )
        if applied.result is not None and not applied.result.succeeded:
            raise ApplyError(applied, applied.diagnostics)
        return applied

    def _run(self, work: Callable[[Session], Awaitable[T]]) -> T:
        async def run() -> T:
            async with open_session(self._loaded, self._loaded.process) as session:
                return await work(session)

        return asyncio.run(run())


def _options(
    targets: Iterable[str],
    excludes: Iterable[str],
    replace: Iterable[str],
    *,
    destroy: bool,
    refresh: bool,
    deep: bool = False,
) -> PlanOptions:
    return PlanOptions(
        targets=tuple(map(Address.parse, targets)),
        excludes=tuple(map(Address.parse, excludes)),
        replace=tuple(map(Address.parse, replace)),
        destroy=destroy,
        refresh=refresh,
        deep=deep,
    )


def _yes(plan: Plan) -> bool:  # noqa: ARG001
    return True


def _ignore(event: Event) -> None:
    """Nobody listens."""


def _leave_interrupts(interrupt: Callable[[], None]) -> None:
    """Signals belong to the program that imports us: a KeyboardInterrupt cancels the run."""
