"""What steps left, kept on this machine by content: found while it is whole, and never more than there is room for."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import jsonschema
import pytest

from nexus.model.runs import Artefact, StepResult
from nexus.stores import LocalResults

KEY = "a" * 64
SCHEMA = Path(__file__).parents[2] / "schemas" / "step-result.schema.json"
HOUR = 3600.0


def sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def pieces(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


async def broken() -> AsyncIterator[bytes]:
    yield b"some"
    raise ConnectionError


def result_of(*contents: bytes) -> StepResult:
    files = {str(index): Artefact(path="/x", size=len(item), sha256=sha(item)) for index, item in enumerate(contents)}
    return StepResult(exit_code=0, cpu_seconds=1.5, artefacts=files)


async def keep(results: LocalResults, content: bytes) -> bool:
    return await results.keep(sha(content), len(content), pieces(content))


async def test_a_result_is_found_with_its_files(tmp_path: Path) -> None:
    results = LocalResults(tmp_path)
    assert results.find(KEY) is None
    assert await results.keep(sha(b"onetwo"), 6, pieces(b"one", b"two"))
    results.note(KEY, result_of(b"onetwo"))
    assert LocalResults(tmp_path).find(KEY) == result_of(b"onetwo")
    jsonschema.validate(json.loads((tmp_path / "results" / f"{KEY}.json").read_text()), json.loads(SCHEMA.read_text()))
    assert [piece async for piece in LocalResults(tmp_path).read(sha(b"onetwo"))] == [b"onetwo"]
    assert {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()} == {0o600}


async def test_a_result_whose_file_is_missing_is_none(tmp_path: Path) -> None:
    results = LocalResults(tmp_path)
    results.note(KEY, result_of(b"gone"))
    assert results.find(KEY) is None


async def test_a_content_that_is_not_what_it_should_be_is_not_kept(tmp_path: Path) -> None:
    results = LocalResults(tmp_path)
    assert not await results.keep(sha(b"expected"), 8, pieces(b"something else"))
    with pytest.raises(ConnectionError):
        await results.keep(sha(b"some"), 4, broken())
    assert not results.has(sha(b"expected"))
    assert not results.has(sha(b"some"))
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


async def test_what_was_used_longest_ago_goes_first_and_what_is_in_use_stays(tmp_path: Path) -> None:
    now = [1_000_000.0]
    results = LocalResults(tmp_path, limit=30, now=lambda: now[0])
    contents = [bytes([65 + number]) * 10 for number in range(4)]
    for content in contents:
        assert await keep(results, content)
        assert results.has(sha(content))
        now[0] += 1
    assert len(list((tmp_path / "content").iterdir())) == 4, "all are in use, so the limit gives way"
    now[0] += 2 * HOUR
    assert results.has(sha(contents[0]))
    assert await keep(results, b"new")
    assert [results.has(sha(content)) for content in (*contents, b"new")] == [True, False, False, True, True]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 2, "result": {}}', b'{"version": 1, "result": 3}'])
async def test_a_damaged_result_is_none(tmp_path: Path, content: bytes) -> None:
    results = LocalResults(tmp_path)
    results.note(KEY, StepResult(exit_code=0))
    assert results.find(KEY) == StepResult(exit_code=0)
    (tmp_path / "results" / f"{KEY}.json").write_bytes(content)
    assert results.find(KEY) is None


def test_only_digests_are_names(tmp_path: Path) -> None:
    results = LocalResults(tmp_path)
    assert not results.has("../../etc/passwd")
    with pytest.raises(ValueError, match="digest"):
        results.find("../x")
