from __future__ import annotations

import json
import tomllib
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

import nexus
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import KEPT_HISTORY, HistoryEntry, State
from nexus.model.values import UNKNOWN, Sensitive
from nexus.stores.statefile import decode, encode, read_version, upgraded
from tests.fakes.records import WEB, make_record

FIXTURES = Path(__file__).parent / "fixtures"
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "state.schema.json").read_text())


def test_what_is_decoded_is_what_was_encoded(full_state: State) -> None:
    assert decode(encode(full_state)) == full_state


def test_encoding_is_stable(full_state: State) -> None:
    assert encode(decode(encode(full_state))) == encode(full_state)


def test_an_encoded_state_fits_its_schema(full_state: State) -> None:
    jsonschema.validate(json.loads(encode(full_state)), SCHEMA)
    jsonschema.validate(json.loads(encode(State(lineage="l", serial=1))), SCHEMA)


def test_the_schema_refuses_a_record_without_uid(full_state: State) -> None:
    document = json.loads(encode(full_state))
    del document["resources"][0]["uid"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(document, SCHEMA)


def test_unknown_values_survive() -> None:
    state = State(lineage="l", serial=1, resources={WEB: make_record(WEB, "u", outputs={"id": UNKNOWN})})
    assert decode(encode(state)).resources[WEB].outputs["id"] is UNKNOWN


def test_a_secret_can_not_be_written(full_state: State) -> None:
    leaking = full_state.with_records([make_record(WEB, "u1", attributes={"env_vars": {"A": Sensitive("hunter2")}})])
    with pytest.raises(TypeError, match="sensitive"):
        encode(leaking)


@pytest.mark.parametrize("fixture", sorted(FIXTURES.glob("*.in")), ids=lambda path: path.stem)
def test_files_of_every_version_are_brought_up_to_date(fixture: Path) -> None:
    expected = json.loads(fixture.with_suffix(".out").read_text())
    actual = json.loads(encode(decode(fixture.read_bytes())))
    assert {**actual, "written_by": ""} == {**expected, "written_by": ""}
    jsonschema.validate(actual, SCHEMA)


def test_there_is_a_fixture_of_every_version() -> None:
    versions = {json.loads(fixture.read_text())["version"] for fixture in FIXTURES.glob("*.in")}
    assert versions == {1}


def test_upgrades_happen_one_after_another() -> None:
    steps = {1: lambda data: {**data, "a": 1}, 2: lambda data: {**data, "b": data["a"] + 1}}
    assert upgraded({"version": 1}, "state.json", steps, latest=3)["b"] == 2
    assert upgraded({"version": 3}, "state.json", steps, latest=3) == {"version": 3}


def test_a_newer_version_is_refused_by_name(full_state: State) -> None:
    document = {**json.loads(encode(full_state)), "version": 9, "written_by": "nexus 4.2.0"}
    with pytest.raises(DiagnosticsError) as problem:
        decode(json.dumps(document).encode(), "x/state.json")
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "state-too-new"
    assert "version 9" in diagnostic.detail
    assert "nexus 4.2.0" in diagnostic.detail


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x00\x00",
        b"\xff\xfe{}",
        b"[]",
        b"{",
        b'"state"',
        b"[" * 100_000,
        b'{"version": "1"}',
        b'{"version": true}',
        b'{"version": 0, "lineage": "l", "serial": 1}',
        b'{"version": 1, "lineage": 5, "serial": 1, "environment": "d"}',
        b'{"version": 1, "lineage": "l", "serial": 0, "environment": "d"}',
        b'{"version": 1, "lineage": "l", "serial": 1, "environment": "d", "resources": {}}',
        b'{"version": 1, "lineage": "l", "serial": 1, "environment": "d", "resources": [1]}',
        b'{"version": 1, "lineage": "l", "serial": 1, "environment": "d", "resources": [{"address": "x"}]}',
        b'{"version": 1, "lineage": "l", "serial": 1, "environment": "d", "trees": {"t": {"p": ["d"]}}}',
    ],
)
def test_a_damaged_file_is_said_to_be_damaged_and_what_to_do(content: bytes) -> None:
    with pytest.raises(DiagnosticsError) as problem:
        decode(content, "x/state.json")
    (diagnostic,) = problem.value.diagnostics
    assert diagnostic.code == "state-damaged"
    assert diagnostic.detail.startswith("x/state.json: ")
    assert "state.json.backup" in diagnostic.hint


def test_every_truncation_is_recognised(full_state: State) -> None:
    content = encode(full_state)
    for length in range(0, len(content) - 2, 7):
        with pytest.raises(DiagnosticsError):
            decode(content[:length])


def test_two_records_of_one_address_are_damage(full_state: State) -> None:
    document = json.loads(encode(full_state))
    document["resources"].append(document["resources"][0])
    with pytest.raises(DiagnosticsError, match="state-damaged"):
        decode(json.dumps(document).encode())


def test_the_version_is_read_without_the_rest(full_state: State) -> None:
    version = read_version(encode(replace(full_state, serial=12)))
    assert (version.lineage, version.serial) == ("lin", 12)


def test_the_program_names_the_version_that_it_is_packaged_as() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert nexus.__version__ == project["version"]


def test_only_the_newest_entries_of_the_history_are_kept() -> None:
    state = State(lineage="l", serial=1)
    for serial in range(1, KEPT_HISTORY + 3):
        state = state.after(HistoryEntry(serial=serial, command="apply", at="", holder=""))
    assert [entry.serial for entry in state.history] == list(range(3, KEPT_HISTORY + 3))
