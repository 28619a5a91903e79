"""What goes wrong on the way: it is told, what could be done is done, and the next apply goes on from there."""

from __future__ import annotations

import os

import pytest

from tests.lifecycle.scenario import Scenario
from tests.local.engine_client import faults
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine

BOX = "sandbox.box"


def test_a_failed_command_skips_what_needs_it_and_the_next_apply_goes_on(scenario: Scenario) -> None:
    manifest = """
sandboxes:
  bad:
    timeout: 10m
    run_commands: [echo one >> /log, "echo this went wrong >&2; exit 7", echo three >> /log]
  needs-bad: {timeout: 10m, depends_on: [sandbox.bad]}
  other: {timeout: 10m, run_commands: [echo fine > /made]}
pipelines: {p: {steps: {s: {sandbox: bad, run: touch /home/user/ran}}}}
"""
    scenario.write(manifest)
    failed = scenario.apply().expect(3)
    assert "this went wrong" in failed.text
    assert "7" in failed.text
    for skipped in ("sandbox.needs-bad: skipped", "step.p.s: skipped"):
        assert f"{skipped}" in failed.stderr
    assert "sandbox.bad failed" in failed.stderr
    scenario.expect_live("sandbox.bad", "sandbox.other")
    assert scenario.inside("sandbox.other", "cat /made") == "fine"
    first = scenario.id_of("sandbox.bad")
    expected = {"sandbox.bad": "update", "sandbox.needs-bad": "create", "step.p.s": "run"}
    assert scenario.actions() == expected
    scenario.apply().expect(3)
    assert scenario.actions() == expected
    scenario.write(manifest.replace("; exit 7", ""))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live("sandbox.bad", "sandbox.other", "sandbox.needs-bad")
    assert scenario.id_of("sandbox.bad") == first
    assert scenario.inside("sandbox.bad", "cat /log && ls /home/user/ran") == "one\nthree\n/home/user/ran"


def test_a_failed_step_is_told_and_run_again(scenario: Scenario) -> None:
    manifest = """
sandboxes: {box: {timeout: 10m}}
pipelines: {p: {steps: {
  s: {sandbox: box, run: "echo half-way; exit CODE"},
  t: {sandbox: box, needs: [s], run: touch /home/user/after}}}}
"""
    scenario.write(manifest.replace("CODE", "9"))
    failed = scenario.apply().expect(3)
    assert "half-way" in failed.text
    assert "step.p.t: skipped" in failed.stderr
    assert scenario.actions() == {"step.p.s": "run", "step.p.t": "run"}
    scenario.write(manifest.replace("CODE", "0"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()


def test_a_failed_build_leaves_the_rest_and_is_made_again(scenario: Scenario) -> None:
    manifest = """
templates: {tool: {base_template: base, run_commands: ["echo building; exit CODE"]}}
sandboxes: {box: {template: "${{ template.tool }}", timeout: 10m}, other: {timeout: 10m}}
"""
    scenario.write(manifest.replace("CODE", "4"))
    failed = scenario.apply().expect(3)
    assert "build-failed" in failed.stderr
    scenario.expect_live("sandbox.other")
    scenario.write(manifest.replace("CODE", "0"))
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX, "sandbox.other")
    assert len(scenario.templates()) == 1
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


@pytest.mark.parametrize(
    "rule",
    [
        {"method": "POST", "path": "^/v2/sandboxes$", "action": "status", "status": 500},
        {"method": "POST", "path": "^/v2/sandboxes$", "action": "status", "status": 503},
        {
            "method": "POST",
            "path": "^/v2/sandboxes$",
            "action": "status",
            "status": 429,
            "headers": {"Retry-After": "1"},
        },
        {"method": "POST", "path": "^/v2/sandboxes$", "action": "drop"},
        {"method": "POST", "path": "/timeout$", "action": "drop"},
        {"method": "POST", "path": "/timeout$", "action": "status", "status": 500},
        {"method": "POST", "path": "^/volumes$", "action": "drop"},
        {"method": "GET", "path": "/templates/aliases/", "action": "status", "status": 503},
    ],
    ids=lambda rule: f"{rule['path']} {rule.get('status', 'lost')}",
)
def test_one_failed_or_lost_answer_is_got_over(scenario: Scenario, rule: dict[str, object]) -> None:
    scenario.write("""
volumes: {disk: {}}
sandboxes: {box: {timeout: 10m, volumes: {/data: "${{ volume.disk }}"}}}
""")
    with faults(scenario.engine, rule):
        scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert len(scenario.volumes()) == 1


def test_a_lost_answer_to_a_delete_is_got_over(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    with faults(scenario.engine, {"method": "DELETE", "path": "^/sandboxes/", "action": "drop"}):
        scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_an_account_that_cannot_be_looked_at_is_never_taken_for_empty(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    for path in ("^/v2/sandboxes$", "^/sandboxes/"):
        broken = {"method": "GET", "path": path, "action": "status", "status": 500, "nth": None}
        with faults(scenario.engine, broken):
            assert "create" not in scenario.apply().stdout
    scenario.expect_no_changes()
    assert scenario.id_of(BOX) == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("action", "numbers"),
    [
        ("status", range(1, 17, 4)),
        pytest.param("status", range(1, 17), marks=pytest.mark.thorough),
        pytest.param("drop", range(1, 17), marks=pytest.mark.thorough),
    ],
    ids=["status", "every status", "every drop"],
)
def test_whichever_request_fails_the_next_apply_converges(scenario: Scenario, action: str, numbers: range) -> None:
    """One after the other, because scripted failures are the whole engine's."""
    manifest = """
volumes: {disk: {}}
templates: {tool: {base_template: base, run_commands: ["echo NUMBER > /opt/built"], tags: [v1]}}
sandboxes:
  box: {template: "${{ template.tool }}", timeout: 10m, volumes: {/data: "${{ volume.disk }}"}}
"""
    for number in numbers:
        scenario.write(manifest.replace("NUMBER", str(number)))
        rule = {"method": "*", "path": ".*", "action": action, "nth": number}
        with faults(scenario.engine, rule):
            scenario.apply().expect(0, 1, 3)
        scenario.apply().expect(0)
        scenario.expect_no_changes()
        scenario.expect_live(BOX)
        assert scenario.inside(BOX, "cat /opt/built") == str(number)
        assert len(scenario.templates()) == len(scenario.volumes()) == 1
        with faults(scenario.engine, rule | {"nth": (number + 1) // 2}):
            scenario.destroy().expect(0, 1, 3)
        scenario.destroy().expect(0)
        scenario.expect_nothing_left()


WAITING_BOX = """
sandboxes:
  box:
    timeout: 10m
    run_commands: ["echo first >> /log; until [ -e /go ]; do sleep 0.1; done; echo second >> /log", echo third >> /log]
  after: {timeout: 10m, depends_on: [sandbox.box]}
"""
QUICK_BOX = WAITING_BOX.replace("until [ -e /go ]; do sleep 0.1; done", "true")


def let_go(scenario: Scenario) -> None:
    scenario.inside(BOX, "touch /go", user="root")


def is_under_way(scenario: Scenario) -> bool:
    return BOX in scenario.live() and "first" in scenario.inside(BOX, "cat /log 2>/dev/null || true")


def test_the_first_interrupt_finishes_what_is_in_flight(scenario: Scenario) -> None:
    scenario.write(WAITING_BOX)
    run = scenario.start("apply", "-y")
    wait_until(lambda: is_under_way(scenario), "the command runs")
    run.interrupt()
    wait_until(lambda: "nterrupt" in run.stderr, "it says that it was interrupted")
    let_go(scenario)
    run.wait().expect(130)
    scenario.expect_live(BOX)
    assert scenario.inside(BOX, "cat /log") == "first\nsecond"
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert scenario.inside(BOX, "cat /log") == "first\nsecond\nthird"
    scenario.expect_live(BOX, "sandbox.after")


def test_the_second_interrupt_cancels_what_is_in_flight(scenario: Scenario) -> None:
    scenario.write(WAITING_BOX)
    run = scenario.start("apply", "-y")
    wait_until(lambda: is_under_way(scenario), "the command runs")
    run.interrupt()
    wait_until(lambda: "nterrupt" in run.stderr, "it says that it was interrupted")
    run.interrupt()
    run.wait().expect(130)
    assert scenario.inside(BOX, "cat /log") == "first"
    scenario.write(QUICK_BOX)
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX, "sandbox.after")
    assert scenario.inside(BOX, "tail -n 2 /log") == "second\nthird"


def test_an_interrupt_before_anything_is_begun_changes_nothing(scenario: Scenario) -> None:
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    slow = {"method": "GET", "path": "^/v2/sandboxes$", "action": "delay", "ms": 20_000, "nth": None}
    with faults(scenario.engine, slow):
        run = scenario.start("apply", "-y")
        wait_until(lambda: "Target:" in run.stderr, "it has begun to look")
        run.interrupt()
        outcome = run.wait().expect(130)
    assert "Traceback" not in outcome.text
    scenario.expect_nothing_left()
    scenario.apply().expect(0)
    scenario.expect_live(BOX)


def test_a_second_apply_is_refused_by_name_or_waits(scenario: Scenario) -> None:
    scenario.write(WAITING_BOX)
    run = scenario.start("apply", "-y")
    wait_until(lambda: is_under_way(scenario), "the command runs")
    refused = scenario.apply().expect(1)
    assert "state-locked" in refused.stderr
    assert f"process {run.pid}" in refused.stderr
    scenario.run("plan").expect(0)
    waiting = scenario.start("apply", "-y", "--lock-timeout", "2m")
    let_go(scenario)
    run.wait().expect(0)
    assert "No changes" in waiting.wait().expect(0).text
    assert scenario.inside(BOX, "cat /log") == "first\nsecond\nthird"


def test_a_killed_apply_leaves_no_lock(scenario: Scenario) -> None:
    scenario.write(WAITING_BOX)
    run = scenario.start("apply", "-y")
    wait_until(lambda: is_under_way(scenario), "the command runs")
    run.kill()
    run.wait().expect(-9)
    scenario.write(QUICK_BOX)
    scenario.apply().expect(0)
    scenario.expect_no_changes()


def test_a_saved_plan_is_applied_exactly_or_refused_with_the_difference(scenario: Scenario) -> None:
    plan = str(scenario.folder / "plan.json")
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.run("plan", "--out", plan).expect(0)
    scenario.write("sandboxes: {box: {timeout: 20m}, other: {}}")
    refused = scenario.run("apply", plan).expect(1)
    assert "plan-stale" in refused.stderr
    assert "sandbox.other" in refused.stderr
    scenario.expect_nothing_left()
    scenario.write("sandboxes: {box: {timeout: 10m}}")
    scenario.run("apply", plan).expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(BOX)
    assert "plan-stale" in scenario.run("apply", plan).expect(1).stderr
    assert os.stat(plan).st_mode & 0o077 == 0
