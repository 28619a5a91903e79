"""``import``: sandboxes made by hand are taken over; ``removed``: blocks that are gone leave theirs alone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest
import yaml
from e2b import Sandbox

from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture
def by_hand(scenario: Scenario) -> Iterator[Sandbox]:
    """A sandbox that somebody made with the SDK, from the catalogue's base template."""
    scenario.write("sandboxes: {warm: {timeout: 5m}}")
    scenario.apply().expect(0)
    made = Sandbox.create("nexus-base", timeout=900, metadata={"team": "data"}, **scenario.options)
    made.files.write("/home/user/precious", "do not lose me")
    yield made
    made.kill()


def block(**more: str) -> str:
    fields = {"timeout": "20m", "metadata": "{team: data}", **more}
    return "sandboxes:\n  pet:\n" + "".join(f"    {name}: {value}\n" for name, value in fields.items())


def imported(made: Sandbox) -> str:
    variables = f"variables: {{pet: {{type: string, default: {made.sandbox_id}}}}}\n"
    return variables + "import: [{to: sandbox.pet, id: '${{ vars.pet }}'}]\n"


def test_an_import_block_takes_a_sandbox_over_and_brings_it_to_what_its_block_says(
    scenario: Scenario, by_hand: Sandbox
) -> None:
    scenario.write(block(run_commands="[echo set up > /srv/done]", env_vars="{A: b}") + imported(by_hand))
    plan = scenario.plan()
    (change,) = [item for item in plan["changes"] if item["address"] == "sandbox.pet"]
    assert change["action"] == "adopt"
    assert {"timeout", "run_commands"} <= {diff["path"].partition("[")[0] for diff in change["fields"]}
    work = [item["verb"] for item in plan["operations"] if item["address"] == "sandbox.pet"]
    assert work[0] == "adopt"
    assert "create" not in work
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert by_hand.commands.run("cat /srv/done /home/user/precious").stdout == "set up\ndo not lose me"
    assert by_hand.sandbox_id in scenario.run("state", "list", "--json").expect(0).stdout


def test_an_adopted_sandbox_is_tracked_by_its_id_and_found_again_by_its_import_block(
    scenario: Scenario, by_hand: Sandbox
) -> None:
    scenario.write(block(run_commands="[echo once >> /srv/done]") + imported(by_hand))
    scenario.apply().expect(0)
    shutil.rmtree(scenario.folder / ".nexus")
    scenario.run("state", "rebuild").expect(0)
    scenario.expect_no_changes()
    assert by_hand.commands.run("cat /srv/done").stdout == "once\n"
    by_hand.kill()
    assert scenario.actions() == {"sandbox.pet": "create"}


def test_the_command_takes_a_sandbox_over_and_changes_nothing_of_it(scenario: Scenario, by_hand: Sandbox) -> None:
    scenario.write(block(run_commands="[echo set up > /srv/done]"))
    told = scenario.run("import", "sandbox.pet", by_hand.sandbox_id).expect(0)
    assert f"sandbox.pet is {by_hand.sandbox_id} from now on." in told.stdout
    assert "run_commands" in told.stderr
    assert by_hand.commands.run("ls /srv").stdout == ""
    assert scenario.actions()["sandbox.pet"] == "update"
    scenario.run("import", "sandbox.pet", by_hand.sandbox_id).expect(1)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert by_hand.commands.run("cat /srv/done").stdout == "set up\n"


def test_a_network_that_is_not_as_the_block_says_is_shown_and_set(scenario: Scenario) -> None:
    scenario.write("sandboxes: {warm: {timeout: 5m}}")
    scenario.apply().expect(0)
    made = Sandbox.create("nexus-base", timeout=900, allow_internet_access=False, **scenario.options)
    try:
        scenario.write("sandboxes: {pet: {timeout: 20m}}")
        scenario.run("import", "sandbox.pet", made.sandbox_id).expect(0)
        (change,) = [item for item in scenario.plan()["changes"] if item["address"] == "sandbox.pet"]
        assert "network.internet" in {diff["path"] for diff in change["fields"]}
        scenario.apply().expect(0)
        scenario.expect_no_changes()
    finally:
        made.kill()


def test_a_generated_block_fits_the_sandbox(scenario: Scenario, by_hand: Sandbox) -> None:
    text = scenario.run("import", "--generate", "sandbox.pet", by_hand.sandbox_id).expect(0).stdout
    written = yaml.safe_load(text)
    assert written["sandboxes"]["pet"]["template"] == "base"
    assert written["sandboxes"]["pet"]["metadata"] == {"team": "data"}
    scenario.write(text)
    assert scenario.actions()["sandbox.pet"] == "adopt"
    scenario.apply().expect(0)
    scenario.expect_no_changes()


def test_what_a_live_sandbox_can_not_be_changed_to_is_refused_with_its_place(
    scenario: Scenario, by_hand: Sandbox
) -> None:
    scenario.write(block(metadata="{team: other}", on_timeout="pause") + imported(by_hand))
    refused = scenario.run("plan").expect(1)
    assert "error[import-differs]" in refused.stderr
    assert "on_timeout is kill, not pause; metadata is {'team': 'data'}, not {'team': 'other'}" in refused.stderr
    assert "nexus.yaml:" in refused.stderr
    scenario.run("import", "sandbox.pet", by_hand.sandbox_id).expect(1)


def test_a_sandbox_that_is_not_there_or_somebody_elses_is_refused(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m}}")
    scenario.apply().expect(0)
    mine = scenario.id_of("sandbox.a")
    scenario.write(f"sandboxes: {{a: {{timeout: 20m}}, b: {{}}}}\nimport: [{{to: sandbox.b, id: {mine}}}]")
    assert "error[import-owned]" in scenario.run("plan").expect(1).stderr
    scenario.write("sandboxes: {a: {timeout: 20m}, b: {}}\nimport: [{to: sandbox.b, id: inotherexxxxxxxxxxxx}]")
    assert "error[import-not-found]" in scenario.run("plan").expect(1).stderr


def test_a_removed_block_leaves_its_sandbox_alone_or_destroys_it(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m, lifecycle: {prevent_destroy: true}}, b: {timeout: 20m}}")
    scenario.apply().expect(0)
    scenario.write("sandboxes: {}\nremoved: [{from: sandbox.a, lifecycle: {destroy: false}}, {from: sandbox.b}]")
    assert scenario.actions() == {"sandbox.a": "forget", "sandbox.b": "delete"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live("sandbox.a")
    assert scenario.run("state", "list").expect(0).stdout == ""


def test_a_sandbox_of_a_template_of_e2b_s_own_is_taken_over_with_the_block_that_is_generated(
    scenario: Scenario,
) -> None:
    made = Sandbox.create(timeout=900, **scenario.options)
    scenario.write("sandboxes: {pet: {timeout: 20m}}")
    refused = scenario.run("import", "sandbox.pet", made.sandbox_id).expect(1)
    assert "import-differs" in refused.stderr
    scenario.write(scenario.run("import", "--generate", "sandbox.pet", made.sandbox_id).expect(0).stdout)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.run("state", "list", "--json").json["resources"][0]["id"] == made.sandbox_id
    scenario.destroy().expect(0)
    assert not made.is_running()


@pytest.mark.parametrize("text", ["../templates", "x/../../templates", "a?b", "gone00000000000000000"])
def test_what_is_no_id_is_no_sandbox(scenario: Scenario, text: str) -> None:
    scenario.write("sandboxes: {pet: {timeout: 20m}}")
    assert "error[import-not-found]" in scenario.run("import", "sandbox.pet", text).expect(1).stderr
    assert "error[import-not-found]" in scenario.run("import", "--generate", "sandbox.pet", text).expect(1).stderr
