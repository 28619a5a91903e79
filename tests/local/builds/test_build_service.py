"""Builds that are started and superseded at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from nexus.local.builds.build_log import BuildLog
from nexus.local.builds.builder import Builder, BuildFailedError
from nexus.local.builds.model import Build, BuildResult, BuildSpec, BuildStatus, FailureReason, Surroundings
from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.registry import TemplateRegistry
from nexus.local.builds.service import BuildRequest, BuildService
from nexus.local.clock import SystemClock
from nexus.local.errors import InvalidRequestError, NotFoundError, TooManyError
from nexus.local.limits.model import Limits
from nexus.local.limits.quotas import Quotas
from nexus.local.storage.space import DiskLimits, DiskSpace
from tests.local.fakes.threads import HeldThreads


class _Work:
    """Stands in for the machines of a build: it takes as long as it is told, and a moment to clean up."""

    def __init__(self) -> None:
        self.may_end = asyncio.Event()
        self.fails = False
        self.has_begun = asyncio.Event()
        self.begun = self.cleaned_up = 0

    async def run(self, _build: Build, _spec: BuildSpec, _log: BuildLog, _pins: contextlib.ExitStack) -> BuildResult:
        self.begun += 1
        self.has_begun.set()
        try:
            await self.may_end.wait()
        finally:
            for _ in range(10):
                await asyncio.sleep(0)
            self.cleaned_up += 1
        if self.fails:
            raise BuildFailedError(FailureReason(message="exit status 1", step="1"))
        return BuildResult(layers=(), surroundings=Surroundings(), start_cmd=None, ready_cmd=None, checked="")


class _InStep(TemplateRecords):
    """Every write takes one turn of the loop, so that requests of the same moment go on in the same moment."""

    held: asyncio.Barrier | None = None
    """Where it is set, a write meets the other side twice: when it begins, and before it ends."""

    async def _write(self, path: Path, document: object) -> None:
        await asyncio.sleep(0)
        if self.held is not None:
            await self.held.wait()
            await self.held.wait()


class _Bench:
    def __init__(self, folder: Path, limits: Limits | None = None, records: TemplateRecords | None = None) -> None:
        self.records = records or _InStep(folder)
        self.records.open()
        self.registry, self.work = TemplateRegistry(self.records), _Work()
        clock = SystemClock()
        space, quotas = DiskSpace(folder, [], DiskLimits(min_free_mb=0)), Quotas(limits or Limits(), clock)
        self.service = BuildService(self.registry, self.records, cast("Builder", self.work), clock, space, quotas)

    async def start(self, *tags: str) -> None:
        template, build = await self.service.register(BuildRequest(name="app", tags=tags))
        await self.service.start(template, build.id, BuildSpec())

    async def start_together(self, number: int) -> None:
        """``number`` builds of the same tags, all of them registered before the first is started."""
        registered = [await self.service.register(BuildRequest(name="app", tags=(f"t{n}",))) for n in range(number)]
        for _, build in registered:
            await self.registry.save_build(replace(build, tags=("same",)))
        await asyncio.gather(*(self.service.start(template, build.id, BuildSpec()) for template, build in registered))

    @property
    def statuses(self) -> list[BuildStatus]:
        return sorted(build.status for build in self.registry.all_builds())


@pytest.fixture
def bench(tmp_path: Path) -> _Bench:
    return _Bench(tmp_path)


@pytest.mark.parametrize("number", [2, 3, 5])
def test_of_builds_started_at_the_same_moment_one_goes_on_and_the_others_have_failed(
    bench: _Bench, number: int
) -> None:
    async def scenario() -> None:
        await bench.start_together(number)
        assert bench.statuses == [BuildStatus.BUILDING, *[BuildStatus.ERROR] * (number - 1)]
        await bench.service.close()
        assert bench.statuses == [BuildStatus.ERROR] * number
        assert bench.work.cleaned_up == bench.work.begun

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_two_that_end_a_build_at_once_leave_it_to_clean_up(bench: _Bench) -> None:
    async def scenario() -> None:
        await bench.start("v1")
        await bench.work.has_begun.wait()
        await asyncio.gather(*(bench.service.close() for _ in range(3)))
        assert bench.statuses == [BuildStatus.ERROR]
        assert bench.work.cleaned_up == 1

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_builds_that_never_got_to_begin_have_failed_when_the_engine_stops(bench: _Bench) -> None:
    async def scenario() -> None:
        await bench.start("v1")
        await bench.service.close()
        assert bench.statuses == [BuildStatus.ERROR]

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_superseded_build_cannot_be_started_while_that_is_written_down(bench: _Bench) -> None:
    """Else it would end the newer build, which took its place, and both would have failed."""

    async def scenario() -> None:
        template, older = await bench.service.register(BuildRequest(name="app"))
        assert isinstance(bench.records, _InStep)
        held = bench.records.held = asyncio.Barrier(2)
        registering = asyncio.create_task(bench.service.register(BuildRequest(name="app")))
        await held.wait()
        assert bench.statuses == [BuildStatus.ERROR, BuildStatus.WAITING]
        with pytest.raises(InvalidRequestError):
            await bench.service.start(template, older.id, BuildSpec())
        bench.records.held = None
        await held.wait()
        _, newer = await registering
        await bench.service.start(template, newer.id, BuildSpec())
        assert bench.registry.build(template.id, newer.id).status is BuildStatus.BUILDING
        await bench.service.close()

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.fixture
def on_disk(tmp_path: Path) -> _Bench:
    """Its records are written by threads."""
    return _Bench(tmp_path, Limits(concurrent_builds=1), TemplateRecords(tmp_path))


async def test_a_build_whose_tags_move_is_not_cut_off(on_disk: _Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else they would point at a build that has failed after all, and no sandbox could be made of the template."""
    await on_disk.start("v1")
    threads = HeldThreads(monkeypatch)
    on_disk.work.may_end.set()
    await threads.settle()
    threads.let_one()
    await threads.settle()
    await threads.finish(asyncio.create_task(on_disk.service.close()))
    assert on_disk.statuses == [BuildStatus.READY]
    assert on_disk.registry.resolve("app:v1").layers == ()


async def test_a_build_that_fails_while_it_is_cancelled_has_ended(
    on_disk: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_disk.start("v1")
    threads, on_disk.work.fails = HeldThreads(monkeypatch), True
    on_disk.work.may_end.set()
    await threads.settle()
    await threads.finish(asyncio.create_task(on_disk.service.close()))
    assert on_disk.statuses == [BuildStatus.ERROR]


async def test_no_more_builds_start_at_the_same_moment_than_may(
    on_disk: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = [await on_disk.service.register(BuildRequest(name=name)) for name in ("app", "other")]
    threads = HeldThreads(monkeypatch)
    starts = [
        asyncio.create_task(on_disk.service.start(template, build.id, BuildSpec())) for template, build in registered
    ]
    with pytest.raises(TooManyError):
        await threads.finish(*starts)
    assert on_disk.statuses == [BuildStatus.BUILDING, BuildStatus.WAITING]
    await on_disk.service.close()


async def test_a_build_does_not_start_when_its_template_is_deleted_meanwhile(
    on_disk: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    template, build = await on_disk.service.register(BuildRequest(name="app"))
    threads = HeldThreads(monkeypatch)
    starting = asyncio.create_task(on_disk.service.start(template, build.id, BuildSpec()))
    await threads.settle()
    with pytest.raises(NotFoundError):
        await threads.finish(asyncio.create_task(on_disk.service.delete(template)), starting)
    await threads.settle()
    assert on_disk.work.begun == 0
    _expect_nothing(on_disk)


async def test_nothing_is_left_of_a_build_that_ends_while_its_template_is_deleted(
    on_disk: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    await on_disk.start("v1")
    threads = HeldThreads(monkeypatch)
    on_disk.work.may_end.set()
    await threads.settle()
    await threads.finish(asyncio.create_task(on_disk.service.delete(on_disk.registry.find("app"))))
    _expect_nothing(on_disk)


async def test_nothing_is_left_of_a_build_that_is_registered_while_its_template_is_deleted(
    on_disk: _Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads = HeldThreads(monkeypatch)
    registering = asyncio.create_task(on_disk.service.register(BuildRequest(name="app")))
    await threads.settle()
    deleting = asyncio.create_task(on_disk.service.delete(on_disk.registry.find("app")))
    await threads.settle()
    await threads.finish(registering, deleting)
    _expect_nothing(on_disk)


def _expect_nothing(bench: _Bench) -> None:
    assert bench.registry.templates() == bench.registry.all_builds() == []
    assert bench.records.load_templates() == bench.records.load_builds() == []
