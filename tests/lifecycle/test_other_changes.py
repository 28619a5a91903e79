"""What a change of a template, a volume or a step means."""

from __future__ import annotations

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

BOX = "sandbox.box"
TOOL = "template.tool"
STEP = "step.p.s"


def with_template(fields: str) -> str:
    return f"""
templates: {{tool: {{base_template: base, {fields}}}}}
sandboxes: {{box: {{template: "${{{{ template.tool }}}}", timeout: 10m}}}}
"""


def test_new_build_inputs_mean_a_new_build_and_new_sandboxes(scenario: Scenario) -> None:
    scenario.write(with_template("run_commands: [echo one > /opt/made], tags: [v1]"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    (template,) = scenario.templates()
    first = scenario.id_of(BOX)
    assert scenario.inside(BOX, "cat /opt/made") == "one"
    scenario.write(with_template("run_commands: [echo two > /opt/made], tags: [v1]"))
    assert scenario.actions() == {TOOL: "update", BOX: "replace"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert scenario.id_of(BOX) != first
    assert scenario.inside(BOX, "cat /opt/made") == "two"
    assert [item["templateID"] for item in scenario.templates()] == [template["templateID"]]
    tags = {item["tag"]: item["buildID"] for item in scenario.tags(template["templateID"])}
    newest = scenario.run("state", "show", TOOL, "--json").expect(0).json["outputs"]["build_id"]
    assert tags["v1"] == tags["default"] == newest
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_tags_and_public_change_in_place(scenario: Scenario) -> None:
    scenario.write(with_template("run_commands: ['true'], tags: [v1, old]"))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    (template,) = scenario.templates()
    scenario.write(with_template("run_commands: ['true'], tags: [v1, new], public: true"))
    assert scenario.actions() == {TOOL: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    tags = {item["tag"] for item in scenario.tags(template["templateID"]) if not item["tag"].startswith("spec-")}
    assert tags == {"v1", "new", "default"}
    (now,) = scenario.templates()
    assert (now["templateID"], now["public"]) == (template["templateID"], True)
    assert scenario.id_of(BOX) == first


def test_environment_of_a_template_holds_in_its_sandboxes(scenario: Scenario) -> None:
    scenario.write(
        with_template("env_vars: {WHO: template, LOW: below}").replace("timeout", "env_vars: {WHO: box}, timeout")
    )
    scenario.apply().expect(0)
    assert scenario.inside(BOX, 'echo "$WHO $LOW"') == "box below"


def test_a_new_name_of_a_template_is_a_new_template(scenario: Scenario) -> None:
    scenario.write(with_template("run_commands: ['true']"))
    scenario.apply().expect(0)
    scenario.write(with_template("run_commands: ['true']").replace("tool", "gear"))
    assert scenario.actions() == {TOOL: "delete", "template.gear": "create", BOX: "replace"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    (template,) = scenario.templates()
    assert template["names"] == [f"{scenario.project}--default--gear"]


VOLUME = """
volumes: {disk: {}}
sandboxes: {box: {timeout: 10m, volumes: {/data: "${{ volume.disk }}"}}}
"""


def test_deleting_a_volume_says_that_it_deletes_data(scenario: Scenario) -> None:
    scenario.write(VOLUME)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert len(scenario.volumes()) == 1
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    changes = {item["address"]: item for item in scenario.plan()["changes"]}
    assert (changes["volume.disk"]["action"], changes["volume.disk"]["data_loss"]) == ("delete", True)
    assert "deletes data" in scenario.run("plan").expect(0).stdout
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.volumes() == []


def test_a_volume_keeps_its_data_when_its_sandbox_is_replaced(scenario: Scenario) -> None:
    scenario.write(VOLUME)
    scenario.apply().expect(0)
    scenario.inside(BOX, "echo kept > /data/file")
    scenario.write(VOLUME.replace("timeout: 10m", "timeout: 10m, metadata: {a: b}"))
    assert scenario.actions() == {BOX: "replace"}
    scenario.apply().expect(0)
    assert scenario.inside(BOX, "cat /data/file") == "kept"


def test_a_protected_volume_survives_destroy(scenario: Scenario) -> None:
    scenario.write(VOLUME.replace("disk: {}", "disk: {lifecycle: {prevent_destroy: true}}"))
    scenario.apply().expect(0)
    assert "prevent-destroy" in scenario.destroy().expect(1).stderr
    scenario.expect_live(BOX)
    assert len(scenario.volumes()) == 1


def step(fields: str, sandbox: str = "timeout: 10m") -> str:
    return f"""
sandboxes: {{box: {{{sandbox}}}}}
pipelines: {{p: {{steps: {{s: {{sandbox: box, {fields}}}}}}}}}
"""


def runs(scenario: Scenario) -> str:
    return scenario.inside(BOX, "tr -d '\\n' < /home/user/log")


def test_a_step_runs_again_when_its_code_or_environment_changes(scenario: Scenario) -> None:
    scenario.write(step('run: echo "a$X" >> /home/user/log'))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.apply().expect(0)
    assert runs(scenario) == "a"
    scenario.write(step('run: echo "b$X" >> /home/user/log'))
    assert scenario.actions() == {STEP: "run"}
    scenario.apply().expect(0)
    scenario.write(step('run: echo "b$X" >> /home/user/log, env_vars: {X: x}'))
    assert scenario.actions() == {STEP: "run"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "abbx"


def test_a_step_runs_again_on_a_replaced_sandbox_but_not_on_an_updated_one(scenario: Scenario) -> None:
    code = "run: echo a >> /home/user/log"
    scenario.write(step(code))
    scenario.apply().expect(0)
    scenario.write(step(code, "timeout: 20m, env_vars: {A: b}, run_commands: ['true']"))
    assert scenario.actions() == {BOX: "update"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "a"
    scenario.write(step(code, "timeout: 20m, metadata: {a: b}"))
    assert scenario.actions() == {BOX: "replace", STEP: "run"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "a"


def test_on_always_runs_at_every_apply_and_manual_at_none(scenario: Scenario) -> None:
    scenario.write(step("run: echo a >> /home/user/log, 'on': always"))
    for _ in range(2):
        assert STEP in scenario.actions()
        scenario.apply().expect(0)
    assert runs(scenario) == "aa"
    scenario.write(step("run: echo b >> /home/user/log, 'on': manual"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "aa"


def test_a_downstream_step_runs_only_when_its_input_really_changed(scenario: Scenario) -> None:
    manifest = """
sandboxes: {box: {timeout: 10m}, other: {timeout: 10m}}
pipelines:
  p:
    steps:
      make: {sandbox: other, run: "echo MADE > /home/user/made  # REMARK", outputs: {file: /home/user/made}}
      take:
        sandbox: box
        inputs: {/home/user/taken: "${{ step.p.make.outputs.file }}"}
        run: cat /home/user/taken >> /home/user/log
"""
    scenario.write(manifest)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "MADE"
    scenario.write(manifest.replace("REMARK", "another remark"))
    changes = {item["address"]: item for item in scenario.plan()["changes"]}
    assert (changes["step.p.take"]["action"], changes["step.p.take"]["cause"]) == ("run", "upstream runs")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "MADE"
    scenario.write(manifest.replace("MADE", "NEW"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert runs(scenario) == "MADENEW"
