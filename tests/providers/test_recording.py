"""What each operation takes into the record, and what it must not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nexus.kinds.setup import setup_units
from nexus.model.addresses import Address
from nexus.model.changes import Operation, Verb
from nexus.model.state import ResourceRecord
from nexus.providers import Call, record_after
from tests.fakes.records import WEB, make_record

WANTED: dict[str, Any] = {
    "template": "base",
    "timeout": 600,
    "network": {"internet": True},
    "env_vars": {"A": "1"},
    "packages": {"apt": ["jq"], "pip": ["httpx"], "npm": []},
    "uploads": [{"path": "/a", "tree": "t"}],
    "run_commands": ["one", "two"],
    "startup_script": "go",
    "start_command": "serve",
    "ready": {"port": 80},
    "ports": {"api": 80},
    "metadata": {},
}
SETUP = ("apt", "pip", "uploads", "run_commands[0]", "run_commands[1]", "startup_script", "start", "ready")


class Silent:
    def progress(self, message: str) -> None: ...
    def log(self, stream: str, text: str) -> None: ...


def call(
    verb: Verb, unit: str, record: ResourceRecord | None, wanted: dict[str, Any] = WANTED, address: Address = WEB
) -> Call:
    return Call(
        operation=Operation(id="1", verb=verb, address=address, unit=unit),
        key="k",
        uid="u",
        project="p",
        environment="e",
        report=Silent(),
        files=None,  # type: ignore[arg-type]
        upstream=lambda _address: None,
        attributes=wanted,
        units=setup_units(wanted),
        record=record,
    )


def verb_of(name: str) -> Verb:
    return next(unit.verb for unit in setup_units(WANTED) if unit.name == name)


def created() -> ResourceRecord:
    return record_after(call(Verb.CREATE, "", None), id="sbx", outputs={"id": "sbx"})


def made(wanted: dict[str, Any] = WANTED) -> ResourceRecord:
    """A sandbox whose whole setup is done."""
    record = record_after(call(Verb.CREATE, "", None, wanted), id="sbx")
    record = record_after(call(Verb.ARM, "", record, wanted))
    for unit in setup_units(wanted):
        if unit.verb is not Verb.SET_ENV:
            record = record_after(call(unit.verb, unit.name, record, wanted))
    return record


def test_a_create_brings_about_what_travels_with_it_and_nothing_else() -> None:
    record = created()
    assert set(record.attributes) == {"template", "network", "env_vars", "ports", "metadata"}
    assert set(record.setup) == {"env"}
    assert (record.id, record.uid, record.outputs) == ("sbx", "u", {"id": "sbx"})


def test_arming_brings_about_the_timeout() -> None:
    record = record_after(call(Verb.ARM, "", created()))
    assert record.attributes["timeout"] == 600


def test_after_the_whole_setup_the_record_is_what_was_wanted() -> None:
    record = made()
    assert record.attributes == WANTED
    assert set(record.setup) == {"env", *SETUP}


@given(st.integers(0, len(SETUP)))
def test_a_setup_cut_off_anywhere_leaves_the_rest_to_be_seen(cut: int) -> None:
    record = created()
    for name in SETUP[:cut]:
        record = record_after(call(verb_of(name), name, record))
    assert set(record.setup) == {"env", *SETUP[:cut]}
    assert ("run_commands" in record.attributes) is (cut >= 5)
    assert ("packages" in record.attributes) is (cut >= 1)
    assert (record.attributes.get("packages") == WANTED["packages"]) is (cut >= 2)


def test_packages_of_one_manager_say_nothing_about_those_of_another() -> None:
    record = record_after(call(Verb.INSTALL, "pip", created()))
    assert record.attributes["packages"] == {"pip": ["httpx"]}


def test_a_manager_not_wanted_any_more_keeps_its_packages_on_record_until_they_are_gone() -> None:
    fewer = {**WANTED, "packages": {"apt": [], "pip": ["rich"], "npm": []}}
    record = record_after(call(Verb.INSTALL, "pip", made(), fewer))
    assert record.attributes["packages"] == {"apt": ["jq"], "pip": ["rich"], "npm": []}
    record = record_after(call(Verb.INSTALL, "apt", record, fewer))
    assert record.attributes["packages"] == fewer["packages"]
    assert "apt" not in record.setup


@pytest.mark.parametrize(
    ("field", "empty", "unit", "verb"),
    [
        ("uploads", [], "uploads", Verb.UPLOAD),
        ("start_command", None, "start", Verb.START),
        ("env_vars", {}, "env", Verb.SET_ENV),
    ],
)
def test_undoing_a_unit_takes_it_off_the_record(field: str, empty: object, unit: str, verb: Verb) -> None:
    fewer = {**WANTED, field: empty}
    record = record_after(call(verb, unit, made(), fewer))
    assert unit not in record.setup
    assert record.attributes == fewer


def test_recording_takes_in_what_needs_no_work_and_leaves_what_does() -> None:
    other = {**WANTED, "ports": {"api": 81}, "network": {"internet": False}, "timeout": 5, "start_command": "other"}
    record = record_after(call(Verb.RECORD, "", made(), other))
    assert record.attributes == {**WANTED, "ports": {"api": 81}}


def test_recording_forgets_commands_that_are_not_wanted_any_more() -> None:
    fewer = {**WANTED, "run_commands": ["one"], "ready": None, "startup_script": None}
    record = record_after(call(Verb.RECORD, "", made(), fewer))
    assert record.attributes == fewer
    assert set(record.setup) == {"env", "apt", "pip", "uploads", "run_commands[0]", "start"}


def test_a_changed_command_is_not_on_record_before_it_has_run() -> None:
    other = {**WANTED, "run_commands": ["one", "three"]}
    record = record_after(call(Verb.RECORD, "", made(), other))
    assert record.attributes["run_commands"] == ["one", "two"]
    record = record_after(call(Verb.RUN_COMMAND, "run_commands[1]", record, other))
    assert record.attributes["run_commands"] == ["one", "three"]


def test_what_follows_a_command_that_ran_again_does_not_count_as_done() -> None:
    other = {**WANTED, "run_commands": ["new", "two"]}
    record = record_after(call(Verb.RUN_COMMAND, "run_commands[0]", made(), other))
    assert set(SETUP) - set(record.setup) == {"run_commands[1]", "startup_script"}


@pytest.mark.parametrize(
    ("verb", "field", "value"), [(Verb.EXTEND, "timeout", 9), (Verb.SET_NETWORK, "network", {"internet": False})]
)
def test_a_change_in_place_takes_in_its_own_field(verb: Verb, field: str, value: object) -> None:
    other = {**WANTED, field: value, "ports": {"api": 81}}
    assert record_after(call(verb, "", made(), other)).attributes == {**WANTED, field: value}


def test_a_build_leaves_tags_and_visibility_to_their_own_verbs() -> None:
    address = Address("template", "t")
    before = make_record(address, "u", attributes={"run_commands": ["a"], "tags": ["v1"], "public": False})
    wanted = {"run_commands": ["b"], "tags": ["v2"], "public": True}
    record = record_after(call(Verb.BUILD, "", before, wanted, address))
    assert record.attributes == {"run_commands": ["b"], "tags": ["v1"], "public": False}
    record = record_after(call(Verb.SET_TAGS, "", record, wanted, address))
    assert record.attributes == {"run_commands": ["b"], "tags": ["v2"], "public": False}


def test_a_step_takes_in_everything_also_its_timeout() -> None:
    address = Address("step", "p.s")
    wanted = {"code": "x", "timeout": 5, "env_vars": {}}
    before = make_record(address, "u", attributes={"code": "x", "timeout": 1, "env_vars": {}})
    recorded = replace(call(Verb.RECORD, "", before, wanted, address), units=())
    assert record_after(recorded).attributes == wanted


def test_a_record_of_another_incarnation_is_not_continued() -> None:
    old = make_record(WEB, "another", setup={"apt": "1"}, protected=True)
    record = record_after(call(Verb.CREATE, "", old), id="new")
    assert (record.uid, set(record.setup), record.protected) == ("u", {"env"}, False)
