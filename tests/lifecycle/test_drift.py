"""What happens to things behind nexus' back: it is told for what it is, planned when asked, and mended by an apply."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from nexus.local import daemon
from nexus.local.daemon import Endpoint
from tests.lifecycle.scenario import Scenario
from tests.local.waiting import wait_until

pytestmark = pytest.mark.engine

BOX = "sandbox.box"
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "drift.schema.json").read_text())


def box(fields: str, rest: str = "") -> str:
    return f"sandboxes: {{box: {{timeout: 10m, {fields}}}{rest}}}"


def drift(scenario: Scenario, *arguments: str) -> dict[str, Any]:
    document: dict[str, Any] = scenario.run("drift", "--json", *arguments).expect(0).json
    jsonschema.validate(document, SCHEMA)
    return document


def causes(scenario: Scenario, *arguments: str) -> list[tuple[str, str]]:
    return [(item["address"], item["cause"]) for item in drift(scenario, *arguments)["drifts"]]


def expect_no_drift(scenario: Scenario) -> None:
    found = drift(scenario)
    assert (found["drifts"], found["drifted"]) == ([], False)
    scenario.run("drift", "--detailed-exitcode").expect(0)
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)


# ---- inside


INSIDE = {
    "an edited file": (
        "uploads: [{path: /srv/note, content: one}, {path: /srv/other, content: two}]",
        "echo other > /srv/note",
        "uploads",
        "/srv/note was edited",
        "cat /srv/note",
        "one",
    ),
    "a file with another mode": (
        "uploads: [{path: /srv/note, content: one, mode: '0640'}]",
        "chmod 600 /srv/note",
        "uploads",
        "/srv/note has mode 600 instead of 640",
        "stat -c %a /srv/note",
        "640",
    ),
    "a deleted file": (
        "uploads: [{path: /srv/note, content: one}]",
        "rm /srv/note",
        "uploads",
        "/srv/note was deleted",
        "cat /srv/note",
        "one",
    ),
    "a process that ended": (
        "start_command: sleep 54321",
        "pkill -f 'sleep 5432[1]'",
        "start",
        "the process of start_command does not run any more",
        "pgrep -f 'sleep 5432[1]' >/dev/null && echo runs",
        "runs",
    ),
}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_changed_inside_is_found_planned_and_mended(scenario: Scenario, name: str) -> None:
    fields, damage, unit, finding, look, wanted = INSIDE[name]
    scenario.write(box(fields))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    expect_no_drift(scenario)
    scenario.inside(BOX, damage, user="root")
    (found,) = drift(scenario)["drifts"]
    assert (found["cause"], [(item["path"], item["after"]) for item in found["fields"]]) == (
        "edited",
        [(unit, finding)],
    )
    scenario.run("drift", "--detailed-exitcode").expect(2)
    scenario.expect_no_changes()
    (change,) = scenario.plan("--deep")["changes"]
    assert (change["action"], change["cause"]) == ("update", f"changed inside: {finding}")
    scenario.apply("--deep").expect(0)
    expect_no_drift(scenario)
    assert scenario.inside(BOX, look, user="root") == wanted
    assert scenario.id_of(BOX) == first


def test_edited_variables_are_set_again(scenario: Scenario) -> None:
    scenario.write(box("env_vars: {A: one}"))
    scenario.apply().expect(0)
    scenario.write(box("env_vars: {A: two}"))
    scenario.apply().expect(0)
    expect_no_drift(scenario)
    for damage in ("echo export A=three > /run/nexus/env", "rm /run/nexus/env"):
        scenario.inside(BOX, damage, user="root")
        assert causes(scenario) == [(BOX, "edited")]
        scenario.apply("--deep").expect(0)
        expect_no_drift(scenario)
        assert scenario.inside(BOX, "bash -lc 'echo $A'") == "two"


@pytest.mark.slow
def test_packages_that_were_removed_or_changed_are_installed_again(scenario: Scenario) -> None:
    scenario.write(box("packages: {pip: [iniconfig==2.0.0]}"))
    scenario.apply().expect(0)
    expect_no_drift(scenario)
    for damage, finding in (
        ("pip uninstall -y -q iniconfig", "iniconfig==2.0.0 is not installed"),
        ("pip install -q iniconfig==2.1.0", "iniconfig==2.0.0 is installed as 2.1.0"),
    ):
        scenario.inside(BOX, f"PIP_BREAK_SYSTEM_PACKAGES=1 {damage} 2>&1", user="root")
        (found,) = drift(scenario)["drifts"]
        assert found["detail"] == finding
        scenario.apply("--deep").expect(0)
        expect_no_drift(scenario)


def test_a_command_that_the_sandbox_knows_nothing_of_runs_again(scenario: Scenario) -> None:
    scenario.write(box("run_commands: [echo ran >> /made]"))
    scenario.apply().expect(0)
    edit = (
        "import json\np='/var/lib/nexus/receipt.json'\nd=json.load(open(p))\n"
        "d['units'].clear()\njson.dump(d, open(p,'w'))"
    )
    scenario.inside(BOX, f'python3 -c "{edit}"', user="root")
    assert causes(scenario) == [(BOX, "edited")]
    scenario.apply("--deep").expect(0)
    expect_no_drift(scenario)
    assert scenario.inside(BOX, "cat /made") == "ran\nran"


def test_what_the_manifest_says_to_ignore_is_told_and_left_alone(scenario: Scenario) -> None:
    scenario.write(box("uploads: [{path: /srv/note, content: one}], lifecycle: {ignore_changes: [uploads]}"))
    scenario.apply().expect(0)
    scenario.inside(BOX, "echo mine > /srv/note", user="root")
    (found,) = drift(scenario)["drifts"]
    assert (found["ignored"], drift(scenario)["drifted"]) == (True, False)
    scenario.run("drift", "--detailed-exitcode").expect(0)
    scenario.run("plan", "--deep", "--detailed-exitcode").expect(0)


# ---- outside


def test_a_network_that_was_changed_outside_is_set_again_in_place(scenario: Scenario) -> None:
    scenario.write(box("network: {deny: [10.0.0.0/8]}"))
    scenario.apply().expect(0)
    first = scenario.id_of(BOX)
    expect_no_drift(scenario)
    scenario.sandbox(BOX).update_network({"allow_out": [], "deny_out": []})
    assert causes(scenario) == [(BOX, "changed")]
    (change,) = scenario.plan("--deep")["changes"]
    assert (change["action"], change["cause"]) == ("update", "network changed outside nexus")
    scenario.apply("--deep").expect(0)
    expect_no_drift(scenario)
    assert scenario.id_of(BOX) == first


def test_a_time_to_live_that_was_cut_short_is_given_back(scenario: Scenario) -> None:
    scenario.write(box("user: user"))
    scenario.apply().expect(0)
    before = scenario.only(BOX).end_at
    scenario.sandbox(BOX).set_timeout(60)
    assert causes(scenario) == [(BOX, "changed")]
    assert [item["verb"] for item in scenario.plan("--deep")["operations"]] == ["extend"]
    scenario.apply("--deep").expect(0)
    expect_no_drift(scenario)
    assert scenario.only(BOX).end_at >= before
    scenario.sandbox(BOX).set_timeout(3000)
    expect_no_drift(scenario)


def test_causes_are_told_apart(scenario: Scenario) -> None:
    scenario.write(
        "sandboxes: {killed: {timeout: 10m}, paused: {timeout: 10m}, whole: {timeout: 10m}, short: {timeout: 10m}}"
    )
    scenario.apply().expect(0)
    scenario.kill("sandbox.killed")
    scenario.sandbox("sandbox.paused").pause()
    assert causes(scenario) == [("sandbox.killed", "gone"), ("sandbox.paused", "paused")]
    assert causes(scenario, "--shallow") == [("sandbox.killed", "gone"), ("sandbox.paused", "paused")]
    assert scenario.actions() == {"sandbox.killed": "create"}


# ---- refresh only


def test_refresh_only_takes_into_the_state_what_is_out_there_and_changes_nothing(scenario: Scenario) -> None:
    manifest = "uploads: [{path: /srv/note, content: one}], network: {deny: [10.0.0.0/8]}"
    scenario.write(box(manifest, ", other: {timeout: 10m}"))
    scenario.apply().expect(0)
    scenario.kill("sandbox.other")
    scenario.inside(BOX, "echo other > /srv/note", user="root")
    scenario.sandbox(BOX).update_network({"allow_out": [], "deny_out": ["192.168.0.0/16"]})
    saved = str(scenario.folder / "saved")
    assert scenario.actions("--refresh-only", "--out", saved) == {BOX: "refresh", "sandbox.other": "forget"}
    scenario.apply(saved).expect(0)
    assert scenario.inside(BOX, "cat /srv/note") == "other"
    assert scenario.actions("--refresh-only") == {}
    shown = scenario.run("state", "list").expect(0).stdout
    assert "sandbox.other" not in shown
    assert drift(scenario)["drifts"] == []
    changes = {item["address"]: item for item in scenario.plan()["changes"]}
    assert {address: item["action"] for address, item in changes.items()} == {BOX: "update", "sandbox.other": "create"}
    scenario.apply().expect(0)
    assert scenario.inside(BOX, "cat /srv/note") == "one"
    expect_no_drift(scenario)


def test_apply_refresh_only_asks_nothing_of_the_cloud_but_to_be_seen(scenario: Scenario) -> None:
    scenario.write(box("user: user"))
    scenario.apply().expect(0)
    scenario.kill(BOX)
    scenario.apply("--refresh-only").expect(0)
    assert scenario.live() == {}
    assert scenario.run("state", "list").expect(0).stdout.strip() == ""
    scenario.apply("--refresh-only").expect(0)


# ---- alerts, accounts


def test_alerts_warn_and_are_never_planned(scenario: Scenario) -> None:
    scenario.write(box("alerts: {disk: 100}"))
    scenario.apply().expect(0)
    assert drift(scenario)["alerts"] == []
    scenario.write(
        box(
            "alerts: {memory: 1}, start_command: \"python3 -c 'x = bytearray(80000000); import time; time.sleep(999)'\""
        )
    )
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    wait_until(lambda: drift(scenario)["alerts"], "the sandbox was measured")
    found = drift(scenario)
    (alert,) = found["alerts"]
    assert (alert["address"], alert["measured"], alert["threshold"]) == (BOX, "memory", 1)
    assert alert["percent"] > 1
    assert not found["drifted"]
    assert "memory at" in scenario.run("drift").expect(0).stdout


def test_a_wrong_key_is_an_error_and_plans_nothing(scenario: Scenario) -> None:
    target = {
        "NEXUS_TARGET": "e2b",
        "E2B_API_URL": scenario.engine.api_url,
        "E2B_SANDBOX_URL": scenario.engine.sandbox_url,
    }
    scenario.write(box("user: user"))
    scenario.apply(E2B_API_KEY=scenario.engine.api_key, **target).expect(0)
    for command in ("plan", "drift"):
        told = scenario.run(command, E2B_API_KEY="e2b_" + "0" * 40, **target).expect(1).stderr
        assert "refused the API key" in told


def test_the_key_of_another_account_plans_nothing_unless_it_is_believed(scenario: Scenario, engine_home: Path) -> None:
    def target(endpoint: Endpoint) -> dict[str, str]:
        return {
            "NEXUS_TARGET": "e2b",
            "E2B_API_KEY": endpoint.api_key,
            "E2B_API_URL": endpoint.api_url,
            "E2B_SANDBOX_URL": endpoint.sandbox_url,
        }

    here, elsewhere = target(scenario.engine), target(daemon.ensure_running(engine_home))
    scenario.write(box("user: user"))
    scenario.apply(**here).expect(0)
    first = scenario.id_of(BOX)
    for command in (("plan",), ("drift",), ("apply", "-y"), ("destroy", "-y"), ("plan", "--refresh-only")):
        told = scenario.run(*command, **elsewhere).expect(1).stderr
        assert "account-mismatch" in told
        assert f"{BOX} ({first})" in told
    assert scenario.actions("--allow-missing", **elsewhere) == {"catalogue.base": "create", BOX: "create"}
    scenario.run("plan", "--detailed-exitcode", **here).expect(0)
    scenario.kill(BOX)
    assert scenario.actions(**here) == {BOX: "create"}


def test_what_expired_is_told_from_what_was_killed(scenario: Scenario) -> None:
    scenario.write("sandboxes: {short: {timeout: 6s}, long: {timeout: 10m}}")
    scenario.apply().expect(0)
    scenario.kill("sandbox.long")
    wait_until(lambda: not scenario.live(), "the short one is over")
    assert causes(scenario) == [("sandbox.long", "gone"), ("sandbox.short", "expired")]
