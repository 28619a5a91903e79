"""Accounts with limits: kept to, told when planning, and where they are met all the same, nothing is asked in vain."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
from e2b import Sandbox

from nexus.local import daemon
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]


@pytest.fixture
def bounded(engine_home: Path, tmp_path: Path) -> Scenario:
    """A project on an engine of its own, whose limits the test sets."""
    scenario = Scenario(tmp_path, daemon.ensure_running(engine_home, test_controls=True))
    scenario.write("sandboxes: {warm: {timeout: 10m}}")
    scenario.apply().expect(0)
    scenario.write("sandboxes: {}")
    scenario.apply().expect(0)
    return scenario


def limit(scenario: Scenario, **limits: Any) -> None:
    engine = scenario.engine
    answer = httpx.post(f"{engine.api_url}/nexus/limits", json=limits, headers={"X-API-KEY": engine.api_key})
    answer.raise_for_status()


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines() if line]


def test_a_full_account_stops_with_a_message_and_skips_the_rest(bounded: Scenario) -> None:
    limit(bounded, concurrent_sandboxes=2)
    bounded.write("sandboxes: {box: {count: 5, timeout: 10m, setup: each, run_commands: ['true']}}")
    ended = bounded.apply("--json", "--parallelism", "1").expect(3)
    finished = [item for item in events(ended.stdout) if item["type"] == "operation-finished"]
    creates = Counter(item["outcome"] for item in finished if item["operation"]["verb"] == "create")
    assert creates == {"succeeded": 2, "failed": 1, "skipped": 2}
    (failed,) = [item for item in finished if item["outcome"] == "failed"]
    assert failed["diagnostic"]["code"] == "quota-exceeded"
    assert failed["seconds"] < 5  # trying again could not have helped
    assert {item["reason"] for item in finished if item["outcome"] == "skipped"} & {"the account's limit is reached"}
    limit(bounded)
    bounded.apply().expect(0)
    bounded.expect_no_changes()
    bounded.expect_live(*(f'sandbox.box["{number}"]' for number in range(5)))


def test_what_a_full_account_refuses_waits_for_what_the_same_plan_deletes(bounded: Scenario) -> None:
    limit(bounded, concurrent_sandboxes=3)
    bounded.write("sandboxes: {old: {count: 3, timeout: 10m}}")
    bounded.apply().expect(0)
    bounded.write("sandboxes: {new: {count: 3, timeout: 10m, setup: each, run_commands: ['true']}}")
    bounded.apply().expect(0)
    bounded.expect_no_changes()
    bounded.expect_live(*(f'sandbox.new["{number}"]' for number in range(3)))


def test_a_rate_that_is_exceeded_is_waited_for(bounded: Scenario) -> None:
    limit(bounded, create_rate={"requests": 1, "seconds": 1})
    bounded.write("sandboxes: {box: {count: 5, timeout: 10m}}")
    bounded.apply().expect(0)
    bounded.expect_no_changes()
    assert len(bounded.live()) == 5


def test_a_declared_rate_is_kept_so_that_nobody_has_to_slow_us_down(bounded: Scenario) -> None:
    # At once they would be too many; one that is late on its way does not make them so.
    limit(bounded, create_rate={"requests": 3, "seconds": 1})
    bounded.write("provider: {creates_per_second: 1.5}\nsandboxes: {box: {count: 4, timeout: 10m}}")
    ended = bounded.apply("--json").expect(0)
    assert not [
        item for item in events(ended.stdout) if item["type"] == "operation-progress" and "slow" in item["message"]
    ]
    bounded.expect_live(*(f'sandbox.box["{number}"]' for number in range(4)))


def test_what_the_account_does_not_allow_is_told_when_planning(bounded: Scenario) -> None:
    bounded.write("provider:\n  tier: hobby\nsandboxes:\n  box:\n    count: 21\n    timeout: 2h\n")
    refused = bounded.run("plan", "--json").expect(1).json
    found = {item["code"]: item for item in refused["diagnostics"]}
    assert found.keys() == {"quota-exceeded", "timeout-too-long"}
    assert found["quota-exceeded"]["range"]["start"]["line"] == 4
    assert "needs 21 sandboxes at once; an account of the tier hobby allows 20" in found["quota-exceeded"]["detail"]
    assert found["timeout-too-long"]["range"]["start"]["line"] == 8


def test_sandboxes_of_others_in_the_account_are_counted(bounded: Scenario) -> None:
    strangers = [Sandbox.create("nexus-base", timeout=300, **bounded.options) for _ in range(2)]
    bounded.write("provider: {concurrent_sandboxes: 3}\nsandboxes: {box: {count: 2, timeout: 10m}}")
    plan = bounded.plan()
    assert [item["code"] for item in plan["diagnostics"]] == ["quota-short"]
    assert "2 of others run in the account" in plan["diagnostics"][0]["detail"]
    strangers[0].kill()
    assert bounded.plan()["diagnostics"] == []


def test_what_operations_took_is_learnt_and_told_beforehand(bounded: Scenario) -> None:
    bounded.write("sandboxes: {box: {timeout: 10m, run_commands: [sleep 1]}}")
    bounded.apply().expect(0)
    learnt = json.loads((bounded.folder / ".nexus/durations.json").read_text())["seconds"]
    assert learnt["run-command sandbox.box run_commands[0]"] >= 1.0
    bounded.kill("sandbox.box")
    again = events(bounded.apply("--json").expect(0).stdout)
    (begun,) = [item for item in again if item["type"] == "operation-started" and item["operation"]["unit"]]
    assert begun["expected_seconds"] == pytest.approx(learnt["run-command sandbox.box run_commands[0]"], abs=0.1)
    assert [item["remaining_seconds"] for item in again if item["type"] == "operation-finished"][-1] == 0
