"""Forwards that are opened and closed at the same moment, and their record on disk."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from nexus.local.documents import read_document
from nexus.local.edge.forwards import Forward, ForwardTable
from nexus.local.errors import NotFoundError
from nexus.local.routing import Forwards
from tests.local.fakes.threads import HeldThreads
from tests.local.sandboxes.service_bench import ServiceBench, Steps


class _Table:
    """Listens nowhere."""

    def __init__(self, steps: Steps) -> None:
        self._steps = steps
        self._open: list[Forward] = []

    def url(self, forward: Forward) -> str:
        return f"http://{forward.address}"

    def all(self) -> list[Forward]:
        return list(self._open)

    async def open(self, sandbox_id: str, port: int) -> Forward:
        await self._steps.at("listen")
        forward = Forward(sandbox_id=sandbox_id, port=port, address=f"127.77.0.{port}")
        self._open.append(forward)
        return forward

    async def close(self, sandbox_id: str) -> None:
        self._open = [forward for forward in self._open if forward.sandbox_id != sandbox_id]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ServiceBench]:
    made = ServiceBench(tmp_path)
    yield made
    made.close()


async def test_no_forward_is_left_of_a_sandbox_that_is_killed_while_it_is_opened(
    bench: ServiceBench, tmp_path: Path
) -> None:
    table = _Table(bench.steps)
    forwards = Forwards(cast("ForwardTable", table), bench.service, tmp_path / "forwards.json")
    bench.service.on_gone = forwards.close
    live = await bench.create()
    with pytest.raises(NotFoundError):
        await bench.while_held("listen", forwards.open(live.id, 80), lambda: bench.service.kill(live.id))
    assert table.all() == []


async def test_all_forwards_that_are_opened_at_once_are_on_record(
    bench: ServiceBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "forwards.json"
    forwards = Forwards(cast("ForwardTable", _Table(bench.steps)), bench.service, path)
    live = await bench.create()
    threads = HeldThreads(monkeypatch)
    opening = []
    for port in (80, 81, 82):
        opening.append(asyncio.create_task(forwards.open(live.id, port)))
        await threads.settle()
    await threads.finish(*opening)
    rows = [[live.id, port, f"127.77.0.{port}"] for port in (80, 81, 82)]
    assert read_document(path) == {"forwards": rows}
