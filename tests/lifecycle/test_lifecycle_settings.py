"""What ``lifecycle``, ``timeouts`` and ``ready`` promise, by real edits and what is there afterwards."""

from __future__ import annotations

import json
from typing import Any

import pytest
from e2b import Sandbox

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

BOX = "sandbox.box"


def box(fields: str, rest: str = "") -> str:
    return f"sandboxes: {{box: {{timeout: 10m, {fields}}}{rest}}}"


def events(scenario: Scenario, *arguments: str, code: int = 0) -> list[dict[str, Any]]:
    outcome = scenario.run(*arguments, "--json").expect(code)
    return [json.loads(line) for line in outcome.stdout.splitlines()]


# ---- ignore_changes, replace_on


def test_ignored_parts_of_fields_are_left_alone_and_their_neighbours_are_not(scenario: Scenario) -> None:
    def manifest(team: str, mode: str, level: str, owner: str = "x") -> str:
        return box(
            f"metadata: {{team: {team}, owner: {owner}}}, env_vars: {{MODE: {mode}, LEVEL: {level}}},"
            "lifecycle: {ignore_changes: [metadata.team, env_vars.MODE]}"
        )

    scenario.write(manifest("a", "one", "low"))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.write(manifest("b", "two", "low"))
    scenario.expect_no_changes()
    scenario.write(manifest("b", "two", "high"))
    (change,) = scenario.plan()["changes"]
    assert (change["action"], [item["path"] for item in change["fields"]]) == ("update", ['env_vars["LEVEL"]'])
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.id_of(BOX) == first
    assert scenario.inside(BOX, "bash -lc 'echo $MODE $LEVEL'") == "one high"
    scenario.write(manifest("b", "two", "high", owner="y"))
    assert scenario.actions() == {BOX: "replace"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.only(BOX).metadata["team"] == "b"


def test_all_changes_may_be_ignored(scenario: Scenario) -> None:
    lifecycle = "lifecycle: {ignore_changes: all}"
    scenario.write(box(f"metadata: {{team: a}}, run_commands: ['true'], {lifecycle}"))
    scenario.apply().expect(0)
    scenario.write(box(f"metadata: {{team: b}}, run_commands: ['false'], user: root, {lifecycle}"))
    scenario.expect_no_changes()


def test_replace_on_a_part_of_a_field_replaces_for_that_part_alone(scenario: Scenario) -> None:
    def manifest(mode: str, level: str) -> str:
        return box(f"env_vars: {{MODE: {mode}, LEVEL: {level}}}, lifecycle: {{replace_on: [env_vars.MODE]}}")

    scenario.write(manifest("one", "low"))
    scenario.apply().expect(0)
    scenario.write(manifest("one", "high"))
    assert scenario.actions() == {BOX: "update"}
    scenario.write(manifest("two", "low"))
    assert scenario.actions() == {BOX: "replace"}


def test_a_misspelt_field_in_ignore_changes_is_an_error_with_its_place(scenario: Scenario) -> None:
    scenario.write(box("lifecycle: {ignore_changes: [metdata.team]}"))
    told = scenario.run("validate").expect(1).stderr
    assert "did you mean" in told
    assert "nexus.yaml:3:" in told


# ---- on_destroy


@pytest.mark.parametrize("keeps_block", [True, False])
def test_on_destroy_pause_leaves_the_sandbox_paused_and_forgets_it(scenario: Scenario, keeps_block: bool) -> None:
    scenario.write(box("lifecycle: {on_destroy: pause}"))
    scenario.apply().expect(0)
    left = scenario.id_of(BOX)
    scenario.inside(BOX, "echo kept > /home/user/note")
    if not keeps_block:
        scenario.write("sandboxes: {}")
    command = "destroy" if keeps_block else "apply"
    (change,) = scenario.plan(*(["--destroy"] if keeps_block else []))["changes"]
    assert change["action"] == "release"
    told = events(scenario, command, "-y")
    (ended,) = (item for item in told if item["type"] == "operation-finished")
    assert left in ended["note"]
    assert scenario.only(BOX).state.value == "paused"
    scenario.write(box("lifecycle: {on_destroy: pause}"))
    assert scenario.actions() == {BOX: "create"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert left in {info.sandbox_id for info in scenario.live()[BOX]}
    assert Sandbox.connect(left, **scenario.options).files.read("/home/user/note") == "kept\n"


def test_a_sandbox_that_was_let_go_is_not_taken_for_a_live_one_when_the_state_is_rebuilt(scenario: Scenario) -> None:
    scenario.write(box("lifecycle: {on_destroy: pause}"))
    scenario.apply().expect(0)
    left = scenario.id_of(BOX)
    scenario.destroy().expect(0)
    scenario.apply().expect(0)
    (current,) = {info.sandbox_id for info in scenario.live()[BOX]} - {left}
    scenario.run("state", "rebuild", "--yes").expect(0)
    shown = scenario.run("state", "list", "--json").expect(0).json
    assert [item["id"] for item in shown["resources"]] == [current]
    scenario.expect_no_changes()
    assert left in {info.sandbox_id for info in scenario.live()[BOX]}


def test_on_destroy_snapshot_keeps_a_snapshot_and_tells_its_id(scenario: Scenario) -> None:
    scenario.write(box("lifecycle: {on_destroy: snapshot}"))
    scenario.apply().expect(0)
    scenario.inside(BOX, "echo kept > /home/user/note")
    scenario.write("sandboxes: {}")
    told = events(scenario, "apply", "-y")
    assert scenario.live() == {}
    (note,) = (item["note"] for item in told if item["type"] == "operation-finished")
    again = Sandbox.create(note.split()[1], timeout=60, **scenario.options)
    try:
        assert again.files.read("/home/user/note") == "kept\n"
    finally:
        again.kill()


def test_what_becomes_of_it_is_told_by_the_state_once_it_changed(scenario: Scenario) -> None:
    scenario.write(box("lifecycle: {on_destroy: pause}"))
    scenario.apply().expect(0)
    scenario.write(box("lifecycle: {on_destroy: kill}"))
    assert scenario.actions() == {BOX: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.write("sandboxes: {}")
    assert scenario.actions() == {BOX: "delete"}
    scenario.apply().expect(0)
    assert scenario.live() == {}


# ---- pre- and postconditions


def test_a_precondition_that_does_not_hold_refuses_the_plan(scenario: Scenario) -> None:
    condition = '{condition: "${{ vars.size > 2 }}", error_message: "size is ${{ vars.size }}, which is too small"}'
    scenario.write(f"variables: {{size: {{default: 1}}}}\n{box(f'lifecycle: {{precondition: [{condition}]}}')}")
    told = scenario.apply().expect(1).stderr
    assert "precondition-failed" in told
    assert "size is 1, which is too small" in told
    assert "nexus.yaml:4:" in told
    assert scenario.live() == {}
    scenario.apply("--var", "size=3").expect(0)
    scenario.run("plan", "--detailed-exitcode", "--var", "size=3").expect(0)


def test_a_condition_that_is_only_known_later_stops_what_depends_on_it(scenario: Scenario) -> None:
    manifest = """
sandboxes:
  box:
    timeout: 10m
    ports: {{api: 8000}}
    lifecycle:
      postcondition:
        - condition: ${{{{ self.urls.api.startsWith("{scheme}") }}}}
          error_message: the url is ${{{{ sandbox.box.urls.api }}}}
  user: {{timeout: 10m, depends_on: [sandbox.box]}}
"""
    scenario.write(manifest.format(scheme="gopher"))
    told = scenario.apply().expect(3).stderr
    assert "postcondition-failed" in told
    assert "the url is http" in told
    assert "nexus.yaml:10:" in told
    scenario.expect_live(BOX)
    assert "postcondition-failed" in scenario.run("plan").expect(1).stderr
    scenario.write(manifest.format(scheme="http"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX, "sandbox.user")


def test_an_unknown_precondition_is_looked_at_before_the_operation(scenario: Scenario) -> None:
    condition = "{condition: \"${{ sandbox.box.id == 'never' }}\", error_message: not that one}"
    scenario.write(box("", f", user: {{timeout: 10m, lifecycle: {{precondition: [{condition}]}}}}"))
    told = scenario.apply().expect(3).stderr
    assert "not that one" in told
    scenario.expect_live(BOX)


# ---- timeouts, readiness


def test_setup_that_takes_too_long_fails_in_time_and_nothing_of_it_goes_on(scenario: Scenario) -> None:
    fields = "run_commands: ['sleep {seconds}'], timeouts: {{setup: 3s}}"
    scenario.write(box(fields.format(seconds=98765)))
    told = scenario.apply().expect(3).stderr
    assert "operation-timeout" in told
    assert "timeouts.setup" in told
    assert scenario.inside(BOX, "pgrep -f 'sleep 9876[5]' || echo none") == "none"
    first = scenario.id_of(BOX)
    scenario.write(box(fields.format(seconds=0)))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.id_of(BOX) == first


def test_dependants_wait_for_a_line_of_the_log(scenario: Scenario) -> None:
    command = "start_command: 'sleep 1; echo listening on 80; touch /tmp/said; sleep 1000'"
    scenario.write(
        box(f"{command}, ready: {{log: 'listening on [0-9]+$'}}", ", user: {timeout: 10m, depends_on: [sandbox.box]}")
    )
    scenario.apply().expect(0)
    assert scenario.inside(BOX, "ls /tmp/said") == "/tmp/said"
    scenario.write(box(f"{command}, ready: {{log: 'never said', timeout: 2s}}"))
    assert "listening on 80" in scenario.apply().expect(3).stderr


def test_a_template_is_ready_once_a_line_was_logged(scenario: Scenario) -> None:
    scenario.write(
        "templates: {tool: {base_template: base, start_command: 'sleep 1; echo up and running; sleep 1000',"
        "ready: {log: '^up and'}}}\n" + box("template: '${{ template.tool }}'")
    )
    scenario.apply().expect(0)
    assert "up and running" in scenario.inside(BOX, "cat /var/log/nexus-start.log")


def test_ready_log_wants_something_that_writes_it(scenario: Scenario) -> None:
    scenario.write(box("ready: {log: x}"))
    assert "ready.log needs start_command" in scenario.run("validate").expect(1).stderr
