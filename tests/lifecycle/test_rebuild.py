"""``state rebuild``: the state is a cache of what the live objects say of themselves."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest
from e2b import Sandbox

from tests.lifecycle.killing import DiskDeath, Moment
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MANIFEST = """
secrets:
  token: {env: THE_TOKEN}
volumes: {disk: {}}
templates:
  tool: {base_template: base, run_commands: [echo built > /opt/built], tags: [v1], env_vars: {FROM: template}}
sandboxes:
  one:
    template: ${{ template.tool }}
    timeout: 20m
    env_vars: {TOKEN: "${{ secrets.token }}", PLAIN: x}
    packages: {pip: [nexus-nothing-here]}
    uploads: [{path: /srv/note, content: hello}, {path: /srv/secret, content: "${{ secrets.token }}"}]
    run_commands: [echo ready > /srv/ready]
    start_command: python3 -m http.server 8000
    ready: {port: 8000}
    ports: {http: 8000}
    volumes: {/data: "${{ volume.disk }}"}
    metadata: {team: data}
    lifecycle: {prevent_destroy: true}
  two:
    count: 2
    timeout: 20m
    env_vars: {PEER: "${{ sandbox.one.id }}", URL: "${{ sandbox.one.urls.http }}"}
outputs:
  url: {value: "${{ sandbox.one.urls.http }}"}
""".replace("    packages: {pip: [nexus-nothing-here]}\n", "")
SECRET = {"THE_TOKEN": "a-seeded-secret"}
ALL = ("sandbox.one", 'sandbox.two["0"]', 'sandbox.two["1"]')


def lose(scenario: Scenario) -> None:
    shutil.rmtree(scenario.folder / ".nexus")


def records(scenario: Scenario) -> dict[str, Any]:
    """What is remembered, by address, without what only the state could know."""
    document = json.loads(scenario.run("state", "pull").expect(0).stdout)
    found = {record["address"]: record for record in document["resources"]}
    for record in found.values():
        for name in ("created_at", "expires_at"):
            record.pop(name)
        if not record["address"].startswith("sandbox"):
            record.pop("uid")
            record["attributes"].pop("public", None)  # recorded once it was set
    return found


def codes(document: dict[str, Any]) -> list[str]:
    return [item["code"] for item in document["diagnostics"]]


def test_a_state_that_was_lost_is_found_again_whole(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.apply(**SECRET).expect(0)
    before, url = records(scenario), scenario.run("output", "--raw", "url").expect(0).stdout
    lose(scenario)
    rebuilt = scenario.run("state", "rebuild", "--json", **SECRET).expect(0).json
    assert codes(rebuilt) == []
    after = records(scenario)
    assert after.keys() == before.keys()
    for address, record in after.items():
        for name, value in record.items():
            assert (address, name, value) == (address, name, before[address][name])
    assert scenario.run("output", "--raw", "url").expect(0).stdout == url
    scenario.expect_no_changes(**SECRET)
    assert "a-seeded-secret" not in "".join(path.read_text() for path in (scenario.folder / ".nexus").rglob("*.json"))
    scenario.write(MANIFEST.replace("prevent_destroy: true", "prevent_destroy: false"))
    scenario.run("destroy", "-y", **SECRET).expect(1)  # what protects it was found again, too
    scenario.apply(**SECRET).expect(0)
    scenario.run("destroy", "-y", **SECRET).expect(0)
    scenario.expect_nothing_left()


def test_what_differs_from_the_manifest_is_planned_after_a_rebuild(scenario: Scenario) -> None:
    scenario.write(
        "sandboxes:\n  a: {timeout: 20m, env_vars: {A: b}, run_commands: [echo one > /srv/one]}\n  b: {timeout: 20m}\n"
    )
    scenario.apply().expect(0)
    kept = scenario.id_of("sandbox.a")
    lose(scenario)
    scenario.write(
        "sandboxes:\n"
        "  a: {timeout: 20m, env_vars: {A: c}, run_commands: [echo one > /srv/one, echo two > /srv/two]}\n"
        "  c: {timeout: 20m, metadata: {x: y}}\n"
    )
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert codes(rebuilt) == ["not-in-manifest"]
    plan = scenario.plan()
    assert {change["address"]: change["action"] for change in plan["changes"]} == {
        "sandbox.a": "update",
        "sandbox.b": "delete",
        "sandbox.c": "create",
    }
    work = [(item["verb"], item["unit"]) for item in plan["operations"] if item["address"] == "sandbox.a"]
    assert work == [("set-env", "env"), ("run-command", "run_commands[1]")]
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.id_of("sandbox.a") == kept


def test_a_paused_sandbox_stays_paused_and_its_inside_is_taken_from_the_manifest(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m, on_timeout: pause, run_commands: [echo one > /srv/one]}}")
    scenario.apply().expect(0)
    Sandbox.pause(scenario.id_of("sandbox.a"), **scenario.options)
    lose(scenario)
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert codes(rebuilt) == ["not-looked-into"]
    scenario.expect_no_changes()
    assert str(scenario.only("sandbox.a").state.value) == "paused"


def test_two_sandboxes_for_one_address_leave_one_and_tell_which(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m}}")
    scenario.apply().expect(0)
    first = scenario.only("sandbox.a")
    marks = {**first.metadata, "nexus.uid": "other"}
    double = Sandbox.create(first.template_id, timeout=1200, metadata=marks, **scenario.options)
    lose(scenario)
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert codes(rebuilt) == ["two-for-one-address"]
    assert [item["id"] for item in rebuilt["resources"]] == [first.sandbox_id]
    assert [item["id"] for item in rebuilt["deposed"]] == [double.sandbox_id]
    assert scenario.actions() == {"sandbox.a": "delete"}
    scenario.apply().expect(0)
    assert scenario.id_of("sandbox.a") == first.sandbox_id
    scenario.expect_no_changes()


PIPELINE = """
sandboxes: {a: {timeout: 20m}}
pipelines:
  p:
    steps:
      s: {sandbox: a, run: "echo x > /home/user/made", outputs: {made: /home/user/made}}
      own: {sandbox: {template: base}, run: "true"}
"""


def test_a_run_that_nothing_tells_of_is_said_and_planned_and_kept_where_the_state_tells(scenario: Scenario) -> None:
    scenario.write(PIPELINE)
    scenario.apply().expect(0)
    assert codes(scenario.run("state", "rebuild", "--json").expect(0).json) == []
    scenario.expect_no_changes()
    lose(scenario)
    assert codes(scenario.run("state", "rebuild", "--json").expect(0).json) == ["run-not-restored"] * 2
    assert scenario.actions() == {"step.p.own": "run", "step.p.s": "run"}
    scenario.apply().expect(0)
    scenario.expect_no_changes()


def test_a_damaged_state_is_replaced_and_kept_aside(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m}}")
    scenario.apply().expect(0)
    folder = scenario.folder / ".nexus/default"
    (folder / "state.json").write_text("{ torn")
    scenario.run("plan").expect(1)
    rebuilt = scenario.run("state", "rebuild").expect(0)
    assert "warning[state-not-read]" in rebuilt.stderr
    scenario.expect_no_changes()
    assert (folder / "state.json.backup").read_text() == "{ torn"


def test_a_state_is_not_replaced_by_nothing_at_all_unasked(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m}}")
    scenario.apply().expect(0)
    Sandbox.kill(scenario.id_of("sandbox.a"), **scenario.options)
    before = (scenario.folder / ".nexus/default/state.json").read_bytes()
    assert "error[nothing-found]" in scenario.run("state", "rebuild").expect(1).stderr
    assert (scenario.folder / ".nexus/default/state.json").read_bytes() == before
    scenario.run("state", "rebuild", "-y").expect(0)
    assert scenario.run("state", "list").expect(0).stdout == ""


def test_what_is_moved_in_the_manifest_is_found_under_its_new_address(scenario: Scenario) -> None:
    scenario.write("sandboxes: {a: {timeout: 20m}}")
    scenario.apply().expect(0)
    scenario.write("sandboxes: {b: {timeout: 20m}}\nmoved: {sandbox.a: sandbox.b}")
    scenario.apply().expect(0)
    lose(scenario)
    scenario.run("state", "rebuild").expect(0)
    assert scenario.run("state", "list").expect(0).stdout.split() == ["sandbox.b"]
    scenario.expect_no_changes()


def test_names_that_no_block_claims_are_told_and_left_alone(scenario: Scenario) -> None:
    scenario.write("volumes: {disk: {}, other: {}}")
    scenario.apply().expect(0)
    lose(scenario)
    scenario.write("volumes: {disk: {}}")
    rebuilt = scenario.run("state", "rebuild", "--json").expect(0).json
    assert codes(rebuilt) == ["unclaimed-names"]
    scenario.expect_no_changes()
    assert len(scenario.volumes()) == 2


def test_instances_that_share_their_setup_are_found_again(scenario: Scenario) -> None:
    scenario.write("sandboxes: {w: {count: 3, timeout: 20m, setup: shared, run_commands: [echo one >> /srv/one]}}")
    scenario.apply().expect(0)
    lose(scenario)
    scenario.run("state", "rebuild").expect(0)
    assert "setup.w" in scenario.run("state", "list").expect(0).stdout.split()
    scenario.expect_no_changes()
    scenario.destroy().expect(0)
    snapshots = Sandbox.list_snapshots(**scenario.options).next_items()
    assert not [item for item in snapshots if scenario.project in item.snapshot_id]


def test_what_an_interrupted_apply_left_is_found_too(scenario: Scenario) -> None:
    """It dies between the creates and the end: sandboxes live, and only the journal tells of them."""
    scenario.write("sandboxes: {a: {timeout: 20m}, b: {timeout: 20m, run_commands: [echo x > /srv/x]}}")
    run = scenario.start("apply", "-y", prepare=DiskDeath(20, Moment.AFTER, scenario.folder / "tally"))
    run.wait()
    assert (scenario.folder / ".nexus/default/journal.jsonl").exists()
    scenario.run("state", "rebuild", "-y").expect(0)
    assert not (scenario.folder / ".nexus/default/journal.jsonl").exists()
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live("sandbox.a", "sandbox.b")
