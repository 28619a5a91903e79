"""Builds from registration to the end: one queue for the engine, few at a time, each with its log and record."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from nexus.local.builds.build_log import BuildLog, BuildLogEntry, read_log
from nexus.local.builds.builder import Builder, BuildFailedError
from nexus.local.builds.model import Build, BuildResult, BuildSpec, BuildStatus, FailureReason, Template
from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.references import DEFAULT_TAG, check_tag, parse_reference
from nexus.local.builds.registry import TemplateRegistry, new_build_id
from nexus.local.clock import Clock
from nexus.local.errors import InvalidRequestError
from nexus.local.limits.quotas import Quotas
from nexus.local.storage.space import DiskSpace

PARALLEL_BUILDS = 2
DEFAULT_CPU, DEFAULT_MEMORY = 2, 1024
_MAX_CPU, _MIN_MEMORY = 32, 128
_CANCELLED = FailureReason(message="the build was cancelled")
_SUPERSEDED = FailureReason(message="superseded by a newer build")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """A registration: ``name`` may carry a tag."""

    name: str
    tags: tuple[str, ...] = ()
    cpu_count: int = DEFAULT_CPU
    memory_mb: int = DEFAULT_MEMORY


class BuildService:
    def __init__(
        self,
        registry: TemplateRegistry,
        records: TemplateRecords,
        builder: Builder,
        clock: Clock,
        space: DiskSpace,
        quotas: Quotas,
    ) -> None:
        self._registry = registry
        self._records = records
        self._builder = builder
        self._clock = clock
        self._space = space
        self._quotas = quotas
        self._turns = asyncio.Semaphore(PARALLEL_BUILDS)
        self._replacing = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._ending: set[str] = set()
        self._logs: dict[str, BuildLog] = {}

    async def recover(self) -> None:
        """Builds that the end of the last daemon cut off have failed; registered ones can still be started."""
        for build in self._registry.all_builds():
            if build.status is BuildStatus.BUILDING:
                await self._fail(build, FailureReason(message="the engine was restarted during the build"))

    async def close(self) -> None:
        """Stop the builds that are under way; they have failed."""
        await asyncio.gather(*map(self._cancel, self._registry.all_builds()))

    async def register(self, request: BuildRequest) -> tuple[Template, Build]:
        """A new build of the template of that name, which is made when it is new. Raises EngineError."""
        self._check_room()
        reference = parse_reference(request.name)
        if "/" in reference.name:
            raise InvalidRequestError(f"template name '{request.name}' has a namespace that is not this engine's")
        _check_size(request)
        named = () if reference.tag == DEFAULT_TAG and request.tags else (reference.tag,)
        tags = tuple(dict.fromkeys((*named, *(check_tag(tag) for tag in request.tags))))
        now = self._clock.now()
        template = self._registry.called(reference.name, now)
        build = Build(
            id=new_build_id(),
            template_id=template.id,
            status=BuildStatus.WAITING,
            tags=tags,
            cpu_count=request.cpu_count,
            memory_mb=request.memory_mb,
            created_at=now,
            updated_at=now,
        )
        await self._registry.register_build(template, build, self._superseded_by(build))
        return template, build

    async def start(self, template: Template, build_id: str, spec: BuildSpec) -> None:
        """Queue a registered build. Builds of the same template and tags that are under way are cancelled."""
        build = self._registry.build(template.id, build_id)
        if build.status is not BuildStatus.WAITING:
            raise InvalidRequestError("build is not in waiting state")
        self._check_room()
        building = replace(build, status=BuildStatus.BUILDING, updated_at=self._clock.now())
        await self._write_start(building)
        async with self._replacing:
            for other in self._registry.builds_of(template.id):
                if other.id != build.id and set(other.tags) == set(build.tags):
                    await self._cancel(other)
            # Its template may have been deleted meanwhile.
            self._registry.build(template.id, build_id)
            log = BuildLog(self._records.log_file(build.id), self._clock)
            self._logs[build.id] = log
            self._running[build.id] = asyncio.create_task(self._run(building, spec, log), name=f"build-{build.id}")

    async def refuse(self, template: Template, build_id: str, message: str) -> None:
        """Let a registered build fail instead of starting it."""
        build = self._registry.build(template.id, build_id)
        if build.status is not BuildStatus.WAITING:
            raise InvalidRequestError("build is not in waiting state")
        await self._fail(build, FailureReason(message=message))

    async def delete(self, template: Template) -> None:
        """Remove a template, which nobody finds from the first moment on, and end its builds."""
        builds = self._registry.forget(template)
        for build in builds:
            await self._cancel(build)
            self._logs.pop(build.id, None)
        await self._registry.erase(template, builds)

    def log_entries(self, build: Build) -> Sequence[BuildLogEntry]:
        if build.status is BuildStatus.WAITING:
            return []
        log = self._logs.get(build.id)
        return log.entries if log is not None else read_log(self._records.log_file(build.id))

    def _check_room(self) -> None:
        self._space.check("build a template")
        building = sum(build.status is BuildStatus.BUILDING for build in self._registry.all_builds())
        self._quotas.check_builds(building)

    async def _write_start(self, building: Build) -> None:
        try:
            await self._registry.save_build(building)
        except OSError as error:
            with contextlib.suppress(OSError):
                await self._fail(building, FailureReason(message=f"its start could not be written down: {error}"))
            raise

    async def _run(self, build: Build, spec: BuildSpec, log: BuildLog) -> None:
        try:
            with contextlib.ExitStack() as pins:
                result = await self._carry_out(build, spec, log, pins)
                # Nobody cuts this off: tags could point at a build that failed after all, or that never ends.
                self._ending.add(build.id)
                await self._end(build, result)
        except Exception as error:
            _log.exception("build %s failed", build.id)
            log.add(f"Build failed: {error}", level="error")
            self._ending.add(build.id)
            await self._fail(build, FailureReason(message=f"the engine could not carry out the build: {error}"))
        finally:
            log.close()
            self._running.pop(build.id, None)
            self._ending.discard(build.id)

    async def _carry_out(
        self, build: Build, spec: BuildSpec, log: BuildLog, pins: contextlib.ExitStack
    ) -> BuildResult | FailureReason:
        """What came of a build, also of one that was cancelled."""
        try:
            async with self._turns:
                return await self._builder.run(build, spec, log, pins)
        except BuildFailedError as error:
            log.add(f"Build failed: {error.reason.message}", level="error", step=error.reason.step)
            return error.reason
        except asyncio.CancelledError:
            log.add("Build cancelled", level="error")
            return _CANCELLED

    async def _end(self, build: Build, result: BuildResult | FailureReason) -> None:
        if isinstance(result, FailureReason):
            await self._fail(build, result)
            return
        now = self._clock.now()
        ready = replace(build, status=BuildStatus.READY, result=result, updated_at=now, finished_at=now)
        await self._registry.finish(ready, now)

    async def _fail(self, build: Build, reason: FailureReason) -> None:
        await self._registry.save_build(_failed(build, reason, self._clock.now()))

    async def _cancel(self, build: Build) -> None:
        """Return when a build that is under way has ended, cancelled unless it is just ending by itself.

        The first of several callers cancels: twice would cut off its clean-up.
        """
        task = self._running.get(build.id)
        if task is None:
            return
        if not task.cancelling() and build.id not in self._ending:
            task.cancel()
        await asyncio.wait({task})
        if self._running.pop(build.id, None) is not None:
            # A task that is cancelled before its first step does nothing at all, not even this.
            await self._fail(build, _CANCELLED)

    def _superseded_by(self, newer: Build) -> list[Build]:
        """The builds of the same template and tags that were not started, failed."""
        return [
            _failed(build, _SUPERSEDED, newer.created_at)
            for build in self._registry.builds_of(newer.template_id)
            if build.status is BuildStatus.WAITING and set(build.tags) == set(newer.tags)
        ]


def _failed(build: Build, reason: FailureReason, now: datetime) -> Build:
    return replace(build, status=BuildStatus.ERROR, reason=reason, updated_at=now, finished_at=now)


def _check_size(request: BuildRequest) -> None:
    cpu, memory = request.cpu_count, request.memory_mb
    if not 1 <= cpu <= _MAX_CPU or (cpu > 1 and cpu % 2):
        raise InvalidRequestError(f"CPU count must be 1 or an even number up to {_MAX_CPU}")
    if memory < _MIN_MEMORY or memory % 2:
        raise InvalidRequestError(f"Memory must be an even number of MiB, {_MIN_MEMORY} at least")
