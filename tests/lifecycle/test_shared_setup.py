"""Many sandboxes with one setup: done once, kept as a snapshot, and gone with the last of them."""

from __future__ import annotations

import json
import shutil

import pytest
from e2b import Sandbox

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

KEYS = [f'sandbox.w["{key}"]' for key in range(3)]
MANIFEST = """
sandboxes:
  w:
    count: 3
    timeout: 20m
    env_vars: {INDEX: "${{ each.key }}"}
    uploads: [{path: /srv/note, content: hello}]
    startup_script: echo "$INDEX" > /srv/index
    setup: shared
  v:
    count: 3
    timeout: 20m
    run_commands: ["cat /proc/sys/kernel/random/uuid > /srv/stamp"]
"""


def snapshots(scenario: Scenario) -> list[str]:
    found = [item.snapshot_id for item in Sandbox.list_snapshots(**scenario.options).next_items()]
    return [name for name in found if f"--{scenario.project}--" in name]


def test_what_is_shared_is_done_once_and_the_rest_in_each(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    stamps = {scenario.inside(f'sandbox.v["{key}"]', "cat /srv/stamp") for key in range(3)}
    assert len(stamps) == 1
    for key, address in enumerate(KEYS):
        assert scenario.inside(address, "cat /srv/note /srv/index") == f"hello{key}"
        receipt = json.loads(scenario.inside(address, "cat /var/lib/nexus/receipt.json", user="root"))
        assert receipt["address"] == address
        assert sorted(receipt["units"]) == ["startup_script", "uploads"]
    scenario.expect_live(*KEYS, *(f'sandbox.v["{key}"]' for key in range(3)))
    assert len(snapshots(scenario)) == 2
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()
    assert not snapshots(scenario)


def test_what_changes_later_is_changed_in_each_that_exists(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    first = scenario.id_of(KEYS[0])
    scenario.write(MANIFEST.replace("hello", "changed"))
    assert scenario.actions() == dict.fromkeys(KEYS, "update")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.id_of(KEYS[0]) == first
    assert scenario.inside(KEYS[0], "cat /srv/note") == "changed"
    scenario.write(MANIFEST.replace("hello", "changed").replace("count: 3", "count: 5", 1))
    assert scenario.actions()["setup.w"] == "update"
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.inside('sandbox.w["4"]', "cat /srv/note /srv/index") == "changed4"
    assert len(snapshots(scenario)) == 2, "the former snapshot lost its tag"


def test_a_setup_that_fails_says_why_and_leaves_nothing(scenario: Scenario) -> None:
    scenario.write("sandboxes: {w: {count: 3, timeout: 20m, run_commands: [echo so it went; exit 7]}}")
    outcome = scenario.apply().expect(3)
    assert "so it went" in outcome.text
    assert not scenario.live()
    assert not snapshots(scenario)
    scenario.write("sandboxes: {w: {count: 3, timeout: 20m, run_commands: [echo fine]}}")
    scenario.apply().expect(0)
    scenario.expect_no_changes()


def test_a_snapshot_lives_as_long_as_its_sandboxes_under_whatever_name_they_go(scenario: Scenario) -> None:
    block = "{count: %d, timeout: 20m, run_commands: [echo %s > /srv/x]}"
    scenario.write(f"sandboxes: {{w: {block % (3, 'one')}}}")
    scenario.apply().expect(0)
    moves = "{" + ", ".join(f"'sandbox.w[\"{key}\"]': 'sandbox.v[\"{key}\"]'" for key in range(3)) + "}"
    scenario.write(f"sandboxes: {{v: {block % (6, 'two')}}}\nmoved: {moves}")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert len(snapshots(scenario)) == 2
    shutil.rmtree(scenario.folder / ".nexus")
    scenario.run("state", "rebuild").expect(0)
    scenario.expect_no_changes()
    scenario.write(f"sandboxes: {{v: {{metadata: {{new: one}}, {block[1:] % (6, 'two')}}}\nmoved: {moves}")
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert [name.rpartition("/")[2].partition(":")[0] for name in snapshots(scenario)] == [
        f"nexus-setup--{scenario.project}--default--v"
    ]
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()
    assert not snapshots(scenario)
