"""Forks bear the marks of their source, and E2B lets nobody change them: nexus must know one from the other."""

from __future__ import annotations

import shutil

import pytest
from e2b import Sandbox

from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

SET_UP = "sandboxes: {a: {timeout: 20m, run_commands: [echo one > /srv/one]}%s}\n"
BARE = "sandboxes: {a: {timeout: 20m}%s}\n"
WITH_COPY = SET_UP % ", copy: {timeout: 20m, run_commands: [echo two > /srv/two]}"


@pytest.fixture
def forked(scenario: Scenario) -> str:
    """The id of a fork that somebody made with the plain SDK."""
    scenario.write(SET_UP % "")
    scenario.apply().expect(0)
    return fork(scenario)


def fork(scenario: Scenario) -> str:
    (made,) = Sandbox.fork(scenario.id_of("sandbox.a"), timeout=1200, **scenario.options)
    assert isinstance(made, Sandbox)
    return made.sandbox_id


def lose(scenario: Scenario) -> None:
    shutil.rmtree(scenario.folder / ".nexus")


def ids(scenario: Scenario) -> set[str]:
    return {info.sandbox_id for found in scenario.live().values() for info in found}


def remembered(scenario: Scenario) -> dict[str, str]:
    document = scenario.run("state", "list", "--json").expect(0).json
    return {item["address"]: item["id"] for item in document["resources"]}


def test_a_fork_is_left_alone_by_every_command_of_its_project(scenario: Scenario, forked: str) -> None:
    scenario.expect_no_changes()
    scenario.write("sandboxes: {a: {timeout: 20m, metadata: {new: one}, run_commands: [echo one > /srv/one]}}")
    scenario.apply().expect(0)
    lose(scenario)
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert [item["code"] for item in rebuilt["diagnostics"]] == ["copies-left-alone"]
    assert rebuilt["deposed"] == []
    scenario.expect_no_changes()
    scenario.destroy().expect(0)
    assert ids(scenario) == {forked}


def test_a_fork_becomes_a_resource_of_its_own(scenario: Scenario, forked: str) -> None:
    original = (ids(scenario) - {forked}).pop()
    scenario.write(WITH_COPY)
    scenario.run("import", "sandbox.copy", forked).expect(0)
    assert {item["unit"] for item in scenario.plan()["operations"] if item["verb"] == "run-command"} == {
        "run_commands[0]"
    }
    scenario.apply().expect(0)
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
    both = {"sandbox.a": original, "sandbox.copy": forked}
    scenario.run("state", "rebuild").expect(0)  # the state says what the marks do not
    assert remembered(scenario) == both
    scenario.expect_no_changes()
    lose(scenario)
    scenario.write(WITH_COPY + f"import: [{{to: sandbox.copy, id: {forked}}}]")
    scenario.run("state", "rebuild").expect(0)  # and so does the manifest
    assert remembered(scenario) == both
    scenario.expect_no_changes()
    scenario.destroy().expect(0)
    assert ids(scenario) == set()


def test_what_nexus_forks_can_be_told_apart_though_nothing_was_set_up_in_it(scenario: Scenario) -> None:
    scenario.write(BARE % "")
    scenario.apply().expect(0)
    original = scenario.id_of("sandbox.a")
    copy = scenario.run("fork", "a", "--timeout", "20m", "--json").expect(0).json["forks"][0]["sandbox_id"]
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
    assert Sandbox.kill(original, **scenario.options)
    lose(scenario)
    scenario.write(BARE % ", copy: {timeout: 20m}")
    assert scenario.run("state", "rebuild", "--json").expect(0).json["resources"] == []
    scenario.run("import", "sandbox.copy", copy).expect(0)
    assert scenario.actions()["sandbox.a"] == "create"
    scenario.apply().expect(0)
    assert remembered(scenario)["sandbox.copy"] == copy
    scenario.destroy().expect(0)
    assert ids(scenario) == set()


def test_a_sandbox_itself_can_not_be_imported_a_second_time(scenario: Scenario, forked: str) -> None:
    original = (ids(scenario) - {forked}).pop()
    scenario.write(WITH_COPY)
    assert "error[import-owned]" in scenario.run("import", "sandbox.copy", original).expect(1).stderr


def test_a_sandbox_from_a_snapshot_is_no_fork(scenario: Scenario, forked: str) -> None:
    snapshot = scenario.run("snapshot", "a", "--json").expect(0).json["snapshot_id"]
    scenario.write(f"sandboxes: {{b: {{timeout: 20m, template: '{snapshot}'}}}}")
    scenario.apply().expect(0)
    lose(scenario)
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert [item["address"] for item in rebuilt["resources"]] == ["sandbox.b"]
    scenario.expect_no_changes()
    scenario.destroy().expect(0)
    assert ids(scenario) == {forked}


def test_what_was_renamed_in_the_state_is_found_under_its_new_name(scenario: Scenario, forked: str) -> None:
    first = (ids(scenario) - {forked}).pop()
    scenario.run("state", "mv", "sandbox.a", "sandbox.b").expect(0)
    scenario.write("sandboxes: {a: {timeout: 20m}, b: {timeout: 20m, run_commands: [echo one > /srv/one]}}")
    scenario.apply().expect(0)
    before = remembered(scenario)
    assert before["sandbox.b"] == first
    scenario.run("state", "rebuild").expect(0)
    assert remembered(scenario) == before
    scenario.expect_no_changes()
