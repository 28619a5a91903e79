"""Traffic to a paused sandbox, of which the engine's own reasons may keep it from being resumed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from nexus.local.edge.answers import Answer
from nexus.local.edge.directory import Route
from nexus.local.edge.lookup import look_up
from nexus.local.routing import SandboxDirectory
from nexus.local.sandboxes.model import Lifecycle
from nexus.local.storage.space import DiskLimits, DiskSpace
from tests.local.sandboxes.service_bench import ServiceBench


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    made = ServiceBench(tmp_path)
    yield made
    made.close()


async def test_a_request_that_there_is_no_room_to_wake_a_sandbox_for_is_told_so(
    bench: ServiceBench, tmp_path: Path
) -> None:
    directory = SandboxDirectory(
        bench.service, lambda purpose, _id: purpose, DiskSpace(tmp_path, [], DiskLimits(min_free_mb=0))
    )
    live = await bench.create()
    live.record = replace(live.record, lifecycle=Lifecycle(auto_resume=True))
    await bench.service.pause(live.id)
    with bench.quotas.starting(0, bench.quotas.limits.concurrent_sandboxes):
        answer = await look_up(directory, live.id)
    assert isinstance(answer, Answer)
    assert answer.status == answer.body["code"] == 429
    assert "maximum number of concurrent" in str(answer.body["message"])
    assert isinstance(await look_up(directory, live.id), Route)
    assert bench.running == [live.id]
