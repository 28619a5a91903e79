"""Builds of templates on their way from one environment to another: carried, never made again."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path

import jsonschema
import pytest

from nexus.stores.files import Files
from tests.lifecycle import killing
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.wheels import wheel

pytestmark = pytest.mark.engine

SCHEMAS = Path(__file__).parents[2] / "schemas"
KILLED = -signal.SIGKILL
ENVIRONMENTS = "environments: {dev: {}, prod: {}, other: {}}\n"
TEMPLATES = """
templates:
  registry:
    uploads: [{source: wheels/, path: /opt/wheels}]
    env_vars: {PIP_NO_INDEX: "1", PIP_FIND_LINKS: /opt/wheels}
  tools:
    base_template: ${{ template.registry }}
    packages: {pip: [shade]}
    run_commands: ["cat /proc/sys/kernel/random/uuid > /opt/number"]
    start_command: sleep infinity
    tags: [stable]
"""
SANDBOXES = "sandboxes: {web: {template: '${{ template.tools }}', timeout: 20m}}\n"
MANIFEST = ENVIRONMENTS + TEMPLATES + SANDBOXES


@dataclass(frozen=True, slots=True)
class DeathBefore:
    """Ends the process in place of the first entry of this kind in the journal. To be called in that process."""

    entry: bytes

    def __call__(self) -> None:
        append = Files.append

        def dying(files: Files, descriptor: int, content: bytes) -> None:
            if self.entry in content:
                os.kill(os.getpid(), signal.SIGKILL)
            append(files, descriptor, content)

        Files.append = dying  # type: ignore[method-assign,assignment]


def number(scenario: Scenario, environment: str) -> str:
    """What the build of the sandbox drew by lot, once the package is seen to be there."""
    said = scenario.run("exec", "-e", environment, "web", "--", "pip freeze | grep -c shade== && cat /opt/number")
    assert said.expect(0).stdout.startswith("1\n")
    return said.stdout.splitlines()[1]


def promote(scenario: Scenario, target: str, *arguments: str) -> list[str]:
    """The templates that were promoted, from dev."""
    said = scenario.run("promote", "--from", "dev", "--to", target, "-y", "--json", *arguments).expect(0).stdout
    events = [json.loads(line) for line in said.splitlines()]
    schema = json.loads((SCHEMAS / "events.schema.json").read_text())
    for event in events:
        jsonschema.validate(event, schema)
    plan = next(event["plan"] for event in events if event["type"] == "plan-ready")
    built = [item for item in plan["operations"] if item["verb"] in ("create", "build")]
    assert all(re.fullmatch(rf"{scenario.project}--dev--\w+:spec-\w+", item["unit"]) for item in built)
    return sorted(item["address"] for item in built)


def test_what_was_tried_in_one_environment_is_what_runs_in_the_other(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    wheel(scenario.folder / "wheels", "shade", "1.0")
    scenario.run("apply", "-y", "-e", "dev").expect(0)
    first = number(scenario, "dev")

    assert promote(scenario, "prod", "template.tools") == ["template.registry", "template.tools"]
    assert scenario.actions("-e", "prod") == {"sandbox.web": "create"}
    scenario.run("apply", "-y", "-e", "prod").expect(0)
    assert number(scenario, "prod") == first

    scenario.write(MANIFEST.replace("/opt/number", "/opt/number; date > /opt/newer"))
    differs = scenario.run("promote", "--from", "dev", "--to", "prod", "-y").expect(1)
    assert "promotion-differs" in differs.stderr
    assert "run_commands" in differs.stderr
    scenario.run("apply", "-y", "-e", "dev").expect(0)
    second = number(scenario, "dev")
    saved = scenario.folder / "newer.plan"
    scenario.run("promote", "--from", "dev", "--to", "prod", "--out", str(saved)).expect(0)
    scenario.run("apply", str(saved)).expect(0)
    history = scenario.run("history", "-e", "prod", "--json").expect(0).json["history"]
    assert [entry["command"] for entry in history] == ["promote", "apply", "promote"]

    scenario.run("destroy", "-y", "-e", "dev").expect(0)
    scenario.run("apply", "-y", "-e", "prod").expect(0)
    assert number(scenario, "prod") == second != first
    (tools,) = [item for item in scenario.templates() if "tools" in item["names"][0]]
    builds = {item["tag"]: item["buildID"] for item in scenario.tags(tools["templateID"])}
    assert builds["stable"] == builds["default"]

    scenario.write(MANIFEST)
    assert "nothing had to be done" in scenario.run("apply", "-y", "-e", "prod").expect(0).stderr
    assert number(scenario, "prod") == first, "the build of before is found by its tag"


def test_a_promotion_that_was_killed_is_ended_by_the_next(scenario: Scenario) -> None:
    scenario.write(ENVIRONMENTS + "templates: {x: {run_commands: [date > /opt/date], tags: [stable]}}")
    scenario.run("apply", "-y", "-e", "dev").expect(0)
    for name, entry in (("prod", b'"type":"begin"'), ("other", b'"type":"done"')):
        killed = scenario.start("promote", "--from", "dev", "--to", name, "-y", prepare=DeathBefore(entry))
        killed.wait().expect(KILLED)
        promote(scenario, name)
        scenario.run("plan", "-e", name, "--detailed-exitcode").expect(0)
    assert len(scenario.templates()) == 3


@pytest.mark.thorough
@pytest.mark.timeout(900)
def test_a_promotion_killed_at_every_change_of_a_file_is_ended_by_the_next(scenario: Scenario) -> None:
    names = [f"to{number}" for number in range(1, 40)]
    environments = ", ".join(f"{name}: {{}}" for name in ("dev", *names))
    scenario.write(f"environments: {{{environments}}}\ntemplates: {{x: {{run_commands: [date > /opt/date]}}}}")
    scenario.run("apply", "-y", "-e", "dev").expect(0)
    for number, name in enumerate(names, 1):
        death = killing.DiskDeath(number, killing.Moment.AFTER, scenario.folder.with_suffix(".tally"))
        outcome = scenario.start("promote", "--from", "dev", "--to", name, "-y", prepare=death).wait()
        promote(scenario, name)
        scenario.run("plan", "-e", name, "--detailed-exitcode").expect(0)
        if outcome.code == 0:
            assert number > 15, "it writes its intents, their outcomes, and the state"
            return
        outcome.expect(KILLED)
    pytest.fail("a promotion writes more often than this test kills it")
