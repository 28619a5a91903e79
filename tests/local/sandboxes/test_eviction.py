"""The evictor: ends what is due, once, and wakes when a lifetime changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest

from nexus.local.sandboxes.eviction import Evictor
from nexus.local.sandboxes.fleet import Fleet, LiveSandbox
from nexus.local.sandboxes.model import Bootable, Lifecycle, NetworkSettings, SandboxRecord, SandboxState
from tests.local.fakes.clock import ManualClock


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.fleet = Fleet()
        self.ended: list[str] = []
        self.failures = 0
        self.evictor = Evictor(self.fleet, self.clock, self.expire)

    async def expire(self, live: LiveSandbox) -> None:
        if self.failures:
            self.failures -= 1
            raise OSError("not now")
        self.ended.append(live.id)
        self.fleet.remove(live)

    def add(self, name: str, seconds: float, state: SandboxState = SandboxState.RUNNING) -> LiveSandbox:
        now = self.clock.now()
        record = SandboxRecord(
            id=name,
            state=state,
            bootable=Bootable(template_id="t", build_id="b", alias=None, layers=(), cpu_count=1, memory_mb=128),
            started_at=now,
            end_at=now + timedelta(seconds=seconds),
            timeout=int(seconds),
            metadata={},
            network=NetworkSettings(),
            lifecycle=Lifecycle(),
            volume_mounts=(),
            layers=(),
        )
        live = LiveSandbox(record)
        self.fleet.add(live)
        self.evictor.wake()
        return live


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    task = asyncio.create_task(made.evictor.run())
    yield made
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_sandboxes_end_in_their_order(scene: Scene) -> None:
    scene.add("later", 20)
    scene.add("sooner", 10)
    await scene.clock.advance(9)
    assert scene.ended == []
    await scene.clock.advance(1)
    assert scene.ended == ["sooner"]
    await scene.clock.advance(10)
    assert scene.ended == ["sooner", "later"]


async def test_new_end_counts_at_once(scene: Scene) -> None:
    live = scene.add("one", 3000)
    await scene.clock.advance(1)
    live.record = replace(live.record, end_at=scene.clock.now())
    scene.evictor.wake()
    await scene.clock.advance(0)
    assert scene.ended == ["one"]


async def test_paused_sandboxes_do_not_end(scene: Scene) -> None:
    scene.add("paused", 5, SandboxState.PAUSED)
    await scene.clock.advance(100)
    assert scene.ended == []


async def test_failed_end_is_tried_again_after_a_moment(scene: Scene) -> None:
    scene.failures = 1
    scene.add("stubborn", 5)
    await scene.clock.advance(5)
    assert scene.ended == []
    await scene.clock.advance(1)
    assert scene.ended == ["stubborn"]
