"""What operations took is learnt, and never stands in anybody's way."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.stores import Durations, local_backend
from nexus.stores.durations import decode, encode

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "durations.schema.json").read_text())


def op(name: str, verb: Verb = Verb.INSTALL, unit: str = "pip", key: str | None = None) -> Operation:
    return Operation(id="1", verb=verb, address=Address("sandbox", name, key), unit=unit)


def test_a_duration_is_learnt_for_the_operation_and_for_its_like() -> None:
    learnt = Durations().after([(op("web"), 10.0), (op("api"), 30.0)])
    assert learnt.of(op("web")) == 10.0
    assert learnt.of(op("api", key="3")) == 30.0
    assert learnt.of(op("new")) == 20.0
    assert learnt.of(op("web", unit="npm")) is None


def test_a_build_that_is_taken_over_is_no_build_that_is_made() -> None:
    def build(unit: str = "") -> Operation:
        return Operation(id="1", verb=Verb.BUILD, address=Address("template", "x"), unit=unit)

    learnt = Durations().after([(build(), 90.0), (build("shop--dev--x:spec-1"), 3.0)])
    assert (learnt.of(build()), learnt.of(build("shop--dev--x:spec-2"))) == (90.0, 3.0)


def test_the_newest_run_counts_half() -> None:
    learnt = Durations().after([(op("web"), 10.0)]).after([(op("web"), 20.0)])
    assert learnt.of(op("web")) == 15.0


def test_commands_of_one_sandbox_are_told_apart_and_new_ones_estimated_by_all() -> None:
    commands = [(op("web", Verb.RUN_COMMAND, f"run_commands[{index}]"), float(index)) for index in range(3)]
    learnt = Durations().after(commands)
    assert learnt.of(commands[2][0]) == 2.0
    assert learnt.of(op("web", Verb.RUN_COMMAND, "run_commands[9]")) == 1.0


def test_what_is_kept_is_bounded_and_the_newest_stays() -> None:
    learnt = Durations().after((op(f"s{index}"), 1.0) for index in range(9_000))
    learnt = learnt.after([(op("last"), 2.0)])
    assert len(learnt.seconds) == 5_000
    assert learnt.of(op("last")) == 2.0


async def test_they_are_kept_for_all_environments_of_a_project(tmp_path: Path) -> None:
    learnt = Durations().after([(op("web"), 1.25)])
    await local_backend(tmp_path, "default").durations.write(learnt)
    assert await local_backend(tmp_path, "prod").durations.read() == learnt
    document = json.loads((tmp_path / ".nexus/durations.json").read_text())
    jsonschema.validate(document, SCHEMA)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 2, "seconds": {"x": 1}}',
        b'{"version": 1, "seconds": {"x": "y", "z": -1}}',
        b"\xff",
    ],
)
async def test_a_file_that_can_not_be_used_teaches_nothing(tmp_path: Path, content: bytes) -> None:
    assert decode(content) == Durations()
    assert decode(encode(Durations({"a": 1.0}))) == Durations({"a": 1.0})
    (tmp_path / ".nexus").mkdir()
    (tmp_path / ".nexus/durations.json").write_bytes(content)
    assert await local_backend(tmp_path, "default").durations.read() == Durations()
