"""An apply on real files that ends before every single step it takes on the disk, and the apply after it."""

from __future__ import annotations

import asyncio
import itertools
from contextlib import suppress
from pathlib import Path

from nexus.executor import Executor, recover
from nexus.stores import commit, load, local_backend
from nexus.stores.files import Files
from tests.fakes.bench import FRESH
from tests.fakes.clock import ManualClock
from tests.fakes.cloud import FakeCloud, FakeProvider
from tests.fakes.desired import NoFiles, Wanted, World, sandbox
from tests.fakes.files import Crash, CrashingFiles
from tests.fakes.sinks import RecordingSink

WORLD = World([Wanted(sandbox("a"), commands=("x",)), Wanted(sandbox("b"), (sandbox("a"),)), Wanted(sandbox("c"))])


async def apply(project: Path, cloud: FakeCloud, files: Files, process: int) -> None:
    """One process's whole apply."""
    clock = ManualClock()
    provider = FakeProvider(cloud, clock, seconds=0.0)
    backend = local_backend(project, "default", files)
    recovered = await recover(provider, (await load(backend, FRESH)).state, clock.now())
    state = await commit(backend, recovered.state)
    numbers = itertools.count()
    executor = Executor(
        provider, backend.journal, RecordingSink(), ids=lambda: f"p{process}-{next(numbers)}", clock=clock
    )
    result = await executor.run(WORLD.plan(state), state, WORLD.resolve, NoFiles())
    assert result.succeeded
    await commit(backend, result.state)


def test_an_apply_that_ends_anywhere_is_completed_by_the_next_with_nothing_twice(tmp_path: Path) -> None:
    whole = CrashingFiles(10**6)
    asyncio.run(apply(tmp_path / "whole", FakeCloud(), whole, 0))
    assert whole.steps > 20
    for crash_at in range(whole.steps):
        project, cloud = tmp_path / str(crash_at), FakeCloud(honours_keys=bool(crash_at % 2))
        with suppress(Crash, BaseExceptionGroup):
            asyncio.run(apply(project, cloud, CrashingFiles(crash_at), 1))
        asyncio.run(apply(project, cloud, Files(), 2))
        state = asyncio.run(load(local_backend(project, "default"), FRESH)).state
        assert {address: record.id for address, record in state.resources.items()} == {
            thing.address: thing.id for thing in cloud.things.values()
        }
        assert len(cloud.things) == len(WORLD.wanted)
        assert state.verify() == ()
        assert (state.pending, state.deposed) == ((), ())
        assert WORLD.plan(state).is_empty
