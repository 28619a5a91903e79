"""A sandbox whose receipt was removed: the state is believed, and what is done next leaves the rest done."""

from __future__ import annotations

import pytest

from tests.lifecycle.scenario import Scenario

pytestmark = pytest.mark.engine

BOX = "sandbox.box"


def box(value: str) -> str:
    command = "run_commands: [echo ran >> /srv/log]"
    return f"sandboxes: {{box: {{timeout: 10m, env_vars: {{A: {value}}}, {command}, startup_script: 'true'}}}}"


def test_what_is_done_after_the_receipt_was_removed_leaves_the_rest_done(scenario: Scenario) -> None:
    scenario.write(box("one"))
    scenario.apply().expect(0)
    for value in ("two", "three"):
        scenario.inside(BOX, "rm /var/lib/nexus/receipt.json", user="root")
        scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
        scenario.write(box(value))
        scenario.apply().expect(0)
        scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
    assert scenario.inside(BOX, "cat /srv/log; bash -lc 'echo $A'") == "ran\nthree"


def test_a_file_of_variables_from_before_the_receipt_was_removed_is_believed(scenario: Scenario) -> None:
    scenario.write(box("one"))
    scenario.apply().expect(0)
    scenario.write(box("two"))
    scenario.apply().expect(0)
    scenario.inside(BOX, "rm /var/lib/nexus/receipt.json", user="root")
    scenario.write(box("two").replace("'true'", "'echo again'"))
    scenario.apply().expect(0)
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)
    scenario.inside(BOX, "echo export A=other > /run/nexus/env", user="root")
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(2)
    scenario.apply("--deep").expect(0)
    assert scenario.inside(BOX, "bash -lc 'echo $A'") == "two"
