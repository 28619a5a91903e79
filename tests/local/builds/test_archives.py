"""Uploaded build contexts that are pruned while clients ask for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nexus.local.builds.archives import ArchiveStore
from nexus.local.storage.space import DiskLimits, DiskSpace
from tests.local.fakes.threads import HeldThreads

HASH = "0" * 64


async def _content() -> AsyncIterator[bytes]:
    yield b"content"


async def test_a_context_that_is_pruned_is_gone_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that is told that it is there does not upload it again."""
    archives = ArchiveStore(tmp_path, DiskSpace(tmp_path, [], DiskLimits(min_free_mb=0)))
    await archives.store(HASH, _content())
    threads = HeldThreads(monkeypatch)
    pruning = asyncio.create_task(archives.prune(only_old=False))
    await threads.settle()
    assert archives.find(HASH) is None
    await threads.finish(pruning)
    assert list(tmp_path.iterdir()) == []


async def test_a_context_that_is_uploaded_while_another_is_pruned_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives = ArchiveStore(tmp_path, DiskSpace(tmp_path, [], DiskLimits(min_free_mb=0)))
    await archives.store(HASH, _content())
    threads = HeldThreads(monkeypatch)
    pruning = asyncio.create_task(archives.prune(only_old=False))
    await threads.settle()
    storing = asyncio.create_task(archives.store(HASH, _content()))
    await threads.settle()
    await threads.finish(pruning, storing)
    assert archives.find(HASH) is not None


async def test_with_builds_under_way_a_recent_context_stays(tmp_path: Path) -> None:
    archives = ArchiveStore(tmp_path, DiskSpace(tmp_path, [], DiskLimits(min_free_mb=0)))
    await archives.store(HASH, _content())
    assert await archives.prune(only_old=True) == 0
    assert archives.find(HASH) is not None
