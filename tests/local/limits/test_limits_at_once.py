"""What may be had so many times is not had more often by asking at the same moment."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import cast

import pytest

from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.registry import TemplateRegistry
from nexus.local.builds.snapshots import SnapshotService
from nexus.local.clock import SystemClock
from nexus.local.errors import ConflictError, InvalidRequestError, TooManyError
from nexus.local.limits.model import Limits
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.copying import DiskCopy, SandboxCopier
from nexus.local.sandboxes.fleet import LiveSandbox
from nexus.local.sandboxes.model import VolumeMount
from nexus.local.sandboxes.volumes import VolumeRegistry
from nexus.local.secrets import SecretRegistry, Vault
from tests.local.fakes.threads import HeldThreads
from tests.local.sandboxes.service_bench import ServiceBench, Steps

ONE = Quotas(Limits(secrets=1, volumes=1, snapshots=1), SystemClock())


async def _refused(threads: HeldThreads, *work: asyncio.Task[object]) -> list[type[BaseException]]:
    """What was raised by ``work`` that runs at once."""
    with contextlib.suppress(Exception):
        await threads.finish(*work)
    results = await asyncio.gather(*work, return_exceptions=True)
    return [type(result) for result in results if isinstance(result, BaseException)]


@pytest.fixture
def volumes(tmp_path: Path) -> Iterator[VolumeRegistry]:
    made = VolumeRegistry(tmp_path / "volumes", None)
    made.open()
    yield made
    made.close()


async def test_volumes(volumes: VolumeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = HeldThreads(monkeypatch)
    work = [asyncio.create_task(volumes.create(name, ONE.check_volumes)) for name in ("a", "b")]
    assert await _refused(threads, *work) == [TooManyError]
    assert [volume.name for volume in volumes.list()] == ["a"]


async def test_a_volume_is_found_when_it_is_whole(volumes: VolumeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sandbox could not mount what is not there yet, and a removal would leave what is written afterwards."""
    threads = HeldThreads(monkeypatch)
    making = asyncio.create_task(volumes.create("data"))
    await threads.settle()
    assert volumes.list() == []
    with pytest.raises(InvalidRequestError, match="not found"):
        volumes.locate([VolumeMount("data", "/data")])
    with pytest.raises(InvalidRequestError, match="already exists"):
        await volumes.create("data")
    await threads.finish(making)
    assert volumes.content(volumes.list()[0]).is_dir()


async def test_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = SecretRegistry(tmp_path, Vault("key"), SystemClock())
    secrets.open()
    threads = HeldThreads(monkeypatch)
    work = [asyncio.create_task(secrets.create(name, "value", {}, ONE.check_secrets)) for name in ("a", "b")]
    assert await _refused(threads, *work) == [ConflictError]
    assert [secret.name for secret in secrets.list()] == ["a"]


class _Copier:
    def __init__(self, steps: Steps) -> None:
        self._steps = steps

    @contextlib.asynccontextmanager
    async def copied(self, live: LiveSandbox, _transition: str) -> AsyncIterator[DiskCopy]:
        await self._steps.at("copy")
        yield DiskCopy(live.record, ("layer",), {})


@pytest.mark.parametrize(
    ("names", "refused"), [((None, None), [TooManyError]), (("a", "b"), [TooManyError]), (("a", "a"), [])]
)
async def test_snapshots(
    tmp_path: Path, names: tuple[str | None, str | None], refused: list[type[BaseException]]
) -> None:
    bench = ServiceBench(tmp_path)
    records = TemplateRecords(tmp_path)
    records.open()
    registry = TemplateRegistry(records)
    snapshots = SnapshotService(
        fleet=bench.fleet,
        copier=cast("SandboxCopier", _Copier(bench.steps)),
        registry=registry,
        quotas=ONE,
        clock=bench.clock,
    )
    live = await bench.create()
    gate = bench.steps.hold("copy")
    work = [asyncio.create_task(snapshots.create(live.id, name)) for name in names]
    await gate.reached.wait()
    gate.may_go_on.set()
    results = await asyncio.gather(*work, return_exceptions=True)
    bench.close()
    assert [type(result) for result in results if isinstance(result, BaseException)] == refused
    assert len(registry.snapshots()) == 1
