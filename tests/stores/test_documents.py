"""A small document that several programs change: who has read an older one changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.schema.state_place import StatePlace
from nexus.stores import FileDocument, SharedDocument, open_document
from tests import servers


@pytest.fixture(params=["file", "terraform"])
def documents(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[list[SharedDocument]]:
    """The same one, for several programs."""
    if request.param == "file":
        yield [FileDocument(tmp_path / "a" / "b" / "waiting.json") for _ in range(5)]
        return
    with servers.terraform() as server:
        place = StatePlace(backend="http", fields={"address": server.address})
        opened = [open_document(place, tmp_path, "prod.controller", "waiting", {}) for _ in range(5)]
        yield [item for item in opened if item is not None]


async def test_who_has_read_it_as_it_is_replaces_it_and_nobody_else(documents: list[SharedDocument]) -> None:
    one, other, *_ = documents
    assert await one.read() is None
    assert await one.replace(b'{"a": 1}', None)
    assert not await other.replace(b'{"b": 1}', None)
    first = await other.read()
    assert first is not None
    assert first.content == b'{"a": 1}'
    assert await other.replace(b'{"b": 2}', first.version)
    assert not await one.replace(b'{"a": 2}', first.version)
    await one.remove()
    await one.remove()
    assert await other.read() is None
    assert not await other.replace(b'{"b": 3}', first.version)


async def test_of_many_programs_at_once_one_replaces_a_file(tmp_path: Path) -> None:
    path = tmp_path / "waiting.json"
    for _ in range(20):
        there = await FileDocument(path).read()
        version = None if there is None else there.version
        writers = [FileDocument(path).replace(f"{number} {version}".encode(), version) for number in range(5)]
        assert sum(await asyncio.gather(*writers)) == 1
    assert [item.name for item in tmp_path.iterdir()] == ["waiting.json"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_state_of_this_machine_alone_shares_nothing(tmp_path: Path) -> None:
    assert open_document(StatePlace(), tmp_path, "prod.controller", "waiting", {}) is None
