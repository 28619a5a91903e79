"""When the engine says that there is no room."""

from __future__ import annotations

import asyncio
from collections import namedtuple
from pathlib import Path

import pytest

from nexus.local.storage import space as space_module
from nexus.local.storage.space import MEBIBYTE, DiskLimits, DiskSpace, NotEnoughSpaceError

Usage = namedtuple("Usage", "total used free")


def free(monkeypatch: pytest.MonkeyPatch, mebibytes: int) -> None:
    usage = Usage(1 << 40, 0, mebibytes * MEBIBYTE)
    monkeypatch.setattr(space_module.shutil, "disk_usage", lambda _path: usage)


def test_below_the_floor_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    space = DiskSpace(tmp_path, [], DiskLimits(min_free_mb=100))
    free(monkeypatch, 100)
    space.check("start a sandbox")
    free(monkeypatch, 99)
    with pytest.raises(NotEnoughSpaceError, match=r"start a sandbox: 99 MiB are free.*100 MiB") as refusal:
        space.check("start a sandbox")
    assert refusal.value.status == 507


async def test_the_engine_s_own_limit_counts_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free(monkeypatch, 10_000)
    store = tmp_path / "store"
    store.mkdir()
    space = DiskSpace(tmp_path, [store, tmp_path / "missing"], DiskLimits(engine_mb=1))
    await space.measure()
    space.check("build a template")
    (store / "file").write_bytes(b"x" * 2 * MEBIBYTE)
    assert await space.measure() >= 2 * MEBIBYTE
    with pytest.raises(NotEnoughSpaceError, match="takes 2 MiB of the 1 MiB"):
        space.check("build a template")
    (store / "file").unlink()
    await space.measure()
    space.check("build a template")


async def test_without_a_limit_nothing_is_measured(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, [tmp_path], DiskLimits())
    await asyncio.wait_for(space.keep_measuring(), 60)
    assert space.used is None
    assert not space.is_over(1 << 50)


def test_a_sandbox_is_over_when_it_has_written_more_than_it_may(tmp_path: Path) -> None:
    space = DiskSpace(tmp_path, [], DiskLimits(sandbox_mb=10))
    assert not space.is_over(10 * MEBIBYTE)
    assert space.is_over(10 * MEBIBYTE + 1)
