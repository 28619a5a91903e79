"""Requests for the same sandbox at the same moment: whichever comes first, what is told, kept and alive agrees."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.local.errors import NotFoundError
from nexus.local.sandboxes.model import NetworkSettings, PauseMode, SandboxState, VolumeMount
from tests.local.fakes.threads import HeldThreads
from tests.local.sandboxes.service_bench import LAYER, ServiceBench

CLOSED = NetworkSettings(internet=False)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    made = ServiceBench(tmp_path)
    yield made
    made.close()


async def test_a_sandbox_that_is_killed_while_it_is_looked_for_is_killed_once(bench: ServiceBench) -> None:
    """An error would end what takes the samples of all sandboxes."""
    live = await bench.create()
    await bench.while_held("attach", bench.service.forget_if_dead(live), lambda: bench.service.kill(live.id))
    assert bench.records.load() == []


async def test_a_sandbox_that_is_paused_to_its_disk_while_it_is_looked_for_stays(bench: ServiceBench) -> None:
    live = await bench.create()
    await bench.while_held(
        "attach",
        bench.service.forget_if_dead(live),
        lambda: bench.service.pause(live.id, PauseMode.FILESYSTEM),
    )
    assert bench.service.get(live.id).state is SandboxState.PAUSED


async def test_no_record_is_left_of_a_sandbox_that_is_killed_while_its_network_changes(bench: ServiceBench) -> None:
    live = await bench.create()
    with pytest.raises(NotFoundError):
        await bench.while_held(
            "set_network",
            bench.service.update_network(live.id, CLOSED),
            lambda: bench.service.kill(live.id),
        )
    assert bench.records.load() == []


async def test_a_network_that_is_changed_during_a_pause_is_changed_for_good(
    bench: ServiceBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await bench.create()
    gate, threads = bench.steps.hold("set_network"), HeldThreads(monkeypatch)
    changing = asyncio.create_task(bench.service.update_network(live.id, CLOSED))
    await gate.reached.wait()
    pausing = asyncio.create_task(bench.service.pause(live.id))
    await threads.settle()
    gate.may_go_on.set()
    await threads.finish(changing, pausing)
    assert bench.records.load() == [live.record]
    assert (live.record.state, live.record.network) == (SandboxState.PAUSED, CLOSED)


async def test_a_network_cannot_be_changed_once_a_pause_has_begun(bench: ServiceBench) -> None:
    live = await bench.create()
    gate = bench.steps.hold("pause")
    pausing = asyncio.create_task(bench.service.pause(live.id))
    await gate.reached.wait()
    with pytest.raises(NotFoundError):
        await bench.service.update_network(live.id, CLOSED)
    gate.may_go_on.set()
    await pausing
    assert live.record.network == NetworkSettings()


async def test_what_a_sandbox_is_made_of_is_in_use_before_it_is_there(bench: ServiceBench) -> None:
    await bench.volumes.create("data")
    gate = bench.steps.hold("boot")
    creating = asyncio.create_task(bench.create(VolumeMount("data", "/data")))
    await gate.reached.wait()
    assert bench.service.uses_volume("data")
    assert bench.service.uses_template("t") is SandboxState.RUNNING
    gate.may_go_on.set()
    live = await creating
    await bench.service.kill(live.id)
    assert not bench.service.uses_volume("data")
    assert bench.service.uses_template("t") is None


@pytest.mark.parametrize("kill_fails", [False, True])
async def test_layers_stay_until_a_sandbox_that_is_killed_while_it_is_resumed_is_gone(
    bench: ServiceBench, kill_fails: bool
) -> None:
    live = await bench.create()
    await bench.service.pause(live.id, PauseMode.FILESYSTEM)
    boot = bench.steps.hold("boot")
    resuming = asyncio.create_task(bench.service.connect(live.id, 60))
    await boot.reached.wait()
    if kill_fails:
        bench.service.before_kill = _fail
    killing = asyncio.create_task(bench.service.kill(live.id))
    await asyncio.sleep(0)
    assert bench.fleet.get(live.id) is None
    assert bench.retention.needed() == {LAYER}
    boot.may_go_on.set()
    await asyncio.gather(resuming, killing, return_exceptions=True)
    assert bench.retention.needed() == ({LAYER} if kill_fails else set())


async def test_the_end_of_its_time_does_not_kill_a_sandbox_that_has_been_paused(bench: ServiceBench) -> None:
    live = await bench.create()
    await bench.service.pause(live.id)
    live.record = replace(live.record, end_at=bench.clock.now())
    await bench.service.expire(live)
    assert bench.service.get(live.id).state is SandboxState.PAUSED


@pytest.mark.parametrize("mode", list(PauseMode))
async def test_a_pause_that_cannot_be_written_down_has_not_happened(
    bench: ServiceBench, mode: PauseMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await bench.create()
    monkeypatch.setattr(bench.records, "write", _fail)
    with pytest.raises(OSError, match="No space left"):
        await bench.service.pause(live.id, mode)
    assert live.record.state is SandboxState.RUNNING
    assert bench.running == [live.id]


@pytest.mark.parametrize("mode", list(PauseMode))
async def test_a_resume_that_cannot_be_written_down_has_not_happened(
    bench: ServiceBench, mode: PauseMode, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = await bench.create()
    await bench.service.pause(live.id, mode)
    with monkeypatch.context() as full:
        full.setattr(bench.records, "write", _fail)
        with pytest.raises(OSError, match="No space left"):
            await bench.service.connect(live.id, 60)
    assert bench.running == []
    await bench.service.connect(live.id, 60)
    assert bench.running == [live.id]


async def _fail(_what: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")
