"""Documents that are written and removed at the same moment, by threads of which the later one may be the quicker."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from nexus.local.documents import DocumentWriter, read_document
from tests.local.fakes.threads import HeldThreads


@pytest.fixture
def threads(monkeypatch: pytest.MonkeyPatch) -> HeldThreads:
    return HeldThreads(monkeypatch)


async def test_what_was_written_last_stays(tmp_path: Path, threads: HeldThreads) -> None:
    writer, path = DocumentWriter(), tmp_path / "one.json"
    await threads.finish(*[asyncio.create_task(writer.write(path, {"number": number})) for number in range(4)])
    assert read_document(path) == {"number": 3}


async def test_a_removed_document_does_not_come_back(tmp_path: Path, threads: HeldThreads) -> None:
    writer, path = DocumentWriter(), tmp_path / "one.json"
    writing = asyncio.create_task(writer.write(path, {}))
    await threads.settle()
    await threads.finish(writing, asyncio.create_task(writer.remove(path)))
    assert read_document(path) is None


async def test_a_document_that_is_written_after_its_removal_stays(tmp_path: Path, threads: HeldThreads) -> None:
    writer, path = DocumentWriter(), tmp_path / "one.json"
    removing = asyncio.create_task(writer.remove(path))
    await threads.settle()
    await threads.finish(removing, asyncio.create_task(writer.write(path, {"new": True})))
    assert read_document(path) == {"new": True}


async def test_of_documents_that_cannot_be_written_nobody_is_told_otherwise(
    tmp_path: Path, threads: HeldThreads
) -> None:
    writer, path = DocumentWriter(), tmp_path / "missing" / "one.json"
    writings = [asyncio.create_task(writer.write(path, {"number": number})) for number in range(3)]
    with pytest.raises(FileNotFoundError):
        await threads.finish(*writings)
    assert all(isinstance(writing.exception(), FileNotFoundError) for writing in writings)


async def test_different_documents_do_not_wait_for_each_other(tmp_path: Path, threads: HeldThreads) -> None:
    writer = DocumentWriter()
    writings = [asyncio.create_task(writer.write(tmp_path / name, {})) for name in ("one.json", "other.json")]
    await threads.settle()
    assert len(threads) == 2
    await threads.finish(*writings)
