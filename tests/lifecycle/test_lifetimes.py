"""Sandboxes end, are killed and are paused: what the next plan makes of it; and what a block says of its own life."""

from __future__ import annotations

import time

import pytest
from e2b import SandboxState

from tests.lifecycle.scenario import Scenario
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine

BOX = "sandbox.box"


def cause(scenario: Scenario, address: str = BOX) -> tuple[str, str]:
    """The plan's action and cause for one address."""
    (change,) = (item for item in scenario.plan()["changes"] if item["address"] == address)
    return change["action"], change["cause"]


def pause(scenario: Scenario, address: str = BOX) -> None:
    scenario.sandbox(address).pause()


def state(scenario: Scenario, address: str = BOX) -> SandboxState:
    return scenario.only(address).state


def test_a_killed_sandbox_is_created_again(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    scenario.kill(BOX)
    assert cause(scenario) == ("create", "gone: killed or removed outside nexus")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)


def test_a_sandbox_whose_time_ran_out_is_created_again(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 6s}}")
    scenario.apply().expect(0)
    wait_until(lambda: not scenario.live(), "the sandbox's time is over")
    action, why = cause(scenario)
    assert (action, why.startswith("expired at ")) == ("create", True)
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)


def test_a_sandbox_paused_on_purpose_is_left_paused(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    pause(scenario)
    scenario.expect_no_changes()
    scenario.apply().expect(0)
    assert state(scenario) is SandboxState.PAUSED
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_a_paused_sandbox_is_resumed_for_a_step_and_only_that_one(scenario: Scenario) -> None:
    manifest = """
sandboxes: {box: {timeout: 10m}, other: {timeout: 10m}}
pipelines: {p: {steps: {s: {sandbox: box, run: echo one > /home/user/made}}}}
"""
    scenario.write(manifest)
    scenario.apply().expect(0)
    ids = scenario.id_of(BOX), scenario.id_of("sandbox.other")
    pause(scenario)
    pause(scenario, "sandbox.other")
    scenario.write(manifest.replace("one", "two"))
    assert scenario.actions() == {BOX: "resume", "step.p.s": "run"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert (state(scenario), state(scenario, "sandbox.other")) == (SandboxState.RUNNING, SandboxState.PAUSED)
    assert scenario.inside(BOX, "cat /home/user/made") == "two"
    assert (scenario.id_of(BOX), scenario.id_of("sandbox.other")) == ids


def test_a_sandbox_paused_by_its_own_timeout_is_resumed_for_its_setup(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m, on_timeout: pause, run_commands: [echo one > /made]}}")
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.sandbox(BOX).set_timeout(1)
    wait_until(lambda: state(scenario) is SandboxState.PAUSED, "it is paused when its time is over")
    scenario.expect_no_changes()
    scenario.write("sandboxes: {box: {timeout: 10m, on_timeout: pause, run_commands: [echo two > /made]}}")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.inside(BOX, "cat /made") == "two"
    assert scenario.id_of(BOX) == first


def test_a_sandbox_with_little_time_left_is_extended_for_what_needs_it(scenario: Scenario) -> None:
    manifest = """
sandboxes: {box: {timeout: 10m}}
pipelines: {p: {steps: {s: {sandbox: box, run: echo one > /home/user/made}}}}
"""
    scenario.write(manifest)
    scenario.apply().expect(0)
    scenario.sandbox(BOX).set_timeout(200)
    scenario.expect_no_changes()
    scenario.write(manifest.replace("one", "two"))
    assert scenario.actions() == {BOX: "extend", "step.p.s": "run"}
    scenario.apply().expect(0)
    assert scenario.only(BOX).end_at.timestamp() - time.time() > 500


def test_prevent_destroy_refuses_to_replace_to_delete_and_to_destroy(scenario: Scenario) -> None:
    def manifest(team: str, protect: str = "true") -> str:
        fields = f"timeout: 10m, metadata: {{team: {team}}}, lifecycle: {{prevent_destroy: {protect}}}"
        return f"sandboxes: {{box: {{{fields}}}, other: {{timeout: 10m}}}}"

    scenario.write(manifest("a"))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.write(manifest("b"))
    assert "prevent-destroy" in scenario.apply().expect(1).stderr
    scenario.write("sandboxes: {other: {timeout: 10m}}")
    assert "prevent-destroy" in scenario.apply().expect(1).stderr
    scenario.write(manifest("a"))
    assert "prevent-destroy" in scenario.destroy().expect(1).stderr
    scenario.expect_live(BOX, "sandbox.other")
    assert scenario.id_of(BOX) == first
    scenario.write(manifest("a", protect="false"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_ignore_changes_leaves_a_field_alone(scenario: Scenario) -> None:
    manifest = "sandboxes: {box: {timeout: 10m, metadata: {team: a}, lifecycle: {ignore_changes: [metadata]}}}"
    scenario.write(manifest)
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.write(manifest.replace("team: a", "team: b"))
    scenario.expect_no_changes()
    scenario.apply().expect(0)
    assert (scenario.id_of(BOX), scenario.only(BOX).metadata["team"]) == (first, "a")


@pytest.mark.parametrize("first", [True, False])
def test_create_before_destroy_decides_what_comes_first(scenario: Scenario, first: bool) -> None:
    lifecycle = f"lifecycle: {{create_before_destroy: {str(first).lower()}}}"
    scenario.write(f"sandboxes: {{box: {{timeout: 10m, metadata: {{team: a}}, {lifecycle}}}}}")
    scenario.apply().expect(0)
    old = scenario.id_of(BOX)
    scenario.write(f"sandboxes: {{box: {{timeout: 10m, metadata: {{team: b}}, {lifecycle}}}}}")
    operations = scenario.plan()["operations"]
    order = [item["verb"] for item in operations if item["verb"] in ("create", "delete")]
    assert order == (["create", "delete"] if first else ["delete", "create"])
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.id_of(BOX) != old


def test_count_up_and_down_keeps_the_others(scenario: Scenario) -> None:
    def addresses(count: int) -> list[str]:
        return [f'sandbox.box["{number}"]' for number in range(count)]

    def ids() -> dict[str, str]:
        return {address: found[0].sandbox_id for address, found in scenario.live().items()}

    scenario.write("sandboxes: {box: {count: 2, timeout: 10m}}")
    scenario.apply().expect(0)
    two = ids()
    assert sorted(two) == addresses(2)
    scenario.write("sandboxes: {box: {count: 3, timeout: 10m}}")
    assert scenario.actions() == {addresses(3)[2]: "create"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    three = ids()
    assert (sorted(three), two.items() <= three.items()) == (addresses(3), True)
    scenario.write("sandboxes: {box: {count: 1, timeout: 10m}}")
    assert scenario.actions() == dict.fromkeys(addresses(3)[1:], "delete")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert ids() == {addresses(1)[0]: two[addresses(1)[0]]}


def test_removing_a_key_deletes_that_instance_alone(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {for_each: [ada, grace, joan], timeout: 10m}}")
    scenario.apply().expect(0)
    kept = {key: scenario.id_of(f'sandbox.box["{key}"]') for key in ("ada", "joan")}
    scenario.write("sandboxes: {box: {for_each: [joan, ada], timeout: 10m}}")
    assert scenario.actions() == {'sandbox.box["grace"]': "delete"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live('sandbox.box["ada"]', 'sandbox.box["joan"]')
    assert {key: scenario.id_of(f'sandbox.box["{key}"]') for key in kept} == kept


def test_a_new_name_is_a_new_sandbox(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    scenario.write("sandboxes: {crate: {timeout: 10m}}")
    assert scenario.actions() == {BOX: "delete", "sandbox.crate": "create"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live("sandbox.crate")
    assert scenario.id_of("sandbox.crate") != first


def test_moved_keeps_what_has_another_name_now(scenario: Scenario) -> None:
    manifest = """
sandboxes: {alpha: {count: 2, timeout: 10m}, user: {timeout: 10m, depends_on: [sandbox.alpha]}}
pipelines: {p: {steps: {s: {sandbox: user, run: echo ran >> /home/user/log}}}}
"""
    scenario.write(manifest)
    scenario.apply().expect(0)
    ids = {found[0].sandbox_id for found in scenario.live().values()}
    renamed = manifest.replace("alpha", "beta").replace("{s:", "{t:")
    scenario.write(f"moved: {{sandbox.alpha: sandbox.beta, step.p.s: step.p.t}}\n{renamed}")
    assert scenario.actions() == {}
    scenario.apply().expect(0)
    scenario.write(renamed)
    scenario.expect_no_changes()
    assert {found[0].sandbox_id for found in scenario.live().values()} == ids
    assert scenario.inside("sandbox.user", "cat /home/user/log") == "ran"
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_a_plan_saved_while_something_is_to_be_moved_is_applied(scenario: Scenario) -> None:
    scenario.write("sandboxes: {alpha: {timeout: 10m, metadata: {v: '1'}}, other: {timeout: 10m}}")
    scenario.apply().expect(0)
    kept = scenario.id_of("sandbox.other")
    scenario.write(
        "moved: {sandbox.other: sandbox.kept}\n"
        "sandboxes: {alpha: {timeout: 10m, metadata: {v: '2'}}, kept: {timeout: 10m}}"
    )
    scenario.run("plan", "--out", str(scenario.folder / "saved")).expect(0)
    scenario.apply(str(scenario.folder / "saved")).expect(0)
    scenario.expect_no_changes()
    assert kept in {found[0].sandbox_id for found in scenario.live().values()}


def test_a_volume_cannot_be_moved(scenario: Scenario) -> None:
    scenario.write("volumes: {disk: {}}")
    scenario.apply().expect(0)
    scenario.write("moved: {volume.disk: volume.drive}\nvolumes: {drive: {}}")
    assert "cannot-move" in scenario.apply().expect(1).stderr
    assert len(scenario.volumes()) == 1
