"""The action for GitHub: its definition fits GitHub's schema, and its scripts do what they say."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from nexus.local.daemon import Endpoint
from tests.fakes.github import Job, bash
from tests.lifecycle.scenario import Scenario
from tests.npm import installed

ROOT = Path(__file__).parents[2]
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text())
WEB = "sandboxes:\n  web: {template: base, timeout: 10m, env_vars: {GREETING: '${{ vars.greeting }}'}}\n"
VARIABLE = "variables:\n  greeting: {type: string, default: hello}\n"


def step(name: str) -> dict[str, Any]:
    (found,) = [item for item in ACTION["runs"]["steps"] if item.get("name") == name]
    return dict(found)


class Action:
    """Its steps on a project, as a job runs them."""

    def __init__(self, job: Job, scenario: Scenario) -> None:
        self.job = job
        self.scenario = scenario

    def run(self, command: str, **inputs: str) -> subprocess.CompletedProcess[str]:
        defaults = {name: str(value.get("default", "")) for name, value in ACTION["inputs"].items()}
        return self._script("Run", {**defaults, "command": command, **inputs})

    def comment(self) -> None:
        done = self._script("Comment", {"environment": "default", "token": "t"})
        assert done.returncode == 0, done.stderr

    def _script(self, name: str, inputs: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """With what GitHub puts in the place of the expressions in the step's variables."""
        known = {f"inputs.{key}": value for key, value in inputs.items()}
        known["github.event.pull_request.number"] = "7"
        if name == "Comment":
            known["steps.nexus.outputs.report"] = self.job.outputs()["report"]
        own = {key: known[text.removeprefix("${{ ").removesuffix(" }}")] for key, text in step(name)["env"].items()}
        environment = {**self.scenario.environment, **self.job.environment(), **own}
        return bash(step(name)["run"], self.scenario.folder, environment)


@pytest.fixture
def action(engine: Endpoint, tmp_path: Path) -> Action:
    (tmp_path / "project").mkdir()
    scenario = Scenario(tmp_path / "project", engine)
    scenario.write(VARIABLE + WEB)
    return Action(Job.begin(tmp_path / "job"), scenario)


@pytest.mark.engine
def test_it_plans_applies_looks_for_drift_and_destroys(action: Action) -> None:
    job, scenario = action.job, action.scenario
    assert action.run("validate").returncode == 0
    planned = action.run("plan", arguments="--var 'greeting=good morning'")
    assert planned.returncode == 0, planned.stderr
    assert (job.outputs()["exit-code"], job.outputs()["changes"]) == ("2", "true")
    assert "sandbox.web" in planned.stdout
    action.comment()
    assert "sandbox.web" in job.summary()

    applied = action.run("apply", arguments=f"'{job.outputs()['plan']}'")
    assert applied.returncode == 0, applied.stderr
    assert scenario.inside("sandbox.web", "echo $GREETING") == "good morning"
    (scenario.folder / ".nexus").rename(job.folder / "gone with the runner")
    again = action.run("plan", **{"arguments": '--var "greeting=good morning"', "find-state": "true"})
    assert again.returncode == 0, again.stderr
    assert (job.outputs()["exit-code"], job.outputs()["changes"]) == ("0", "false")
    action.comment()
    (comment,) = job.comments()
    assert comment["body"].startswith("<!-- nexus plan: default -->\n")
    assert "No changes" in comment["body"]

    scenario.kill("sandbox.web")
    assert action.run("drift").returncode == 0
    assert job.outputs()["changes"] == "true"
    assert action.run("drift", **{"fail-on-changes": "true"}).returncode == 2
    assert action.run("destroy").returncode == 0
    scenario.expect_nothing_left()


def test_what_is_wrong_fails_the_step_and_is_in_the_comment(action: Action) -> None:
    action.scenario.write(WEB)
    failed = action.run("plan")
    assert failed.returncode == 1
    assert action.job.outputs()["exit-code"] == "1"
    assert "plan" not in action.job.outputs()
    action.comment()
    assert "unknown-variable" in action.job.comments()[0]["body"]
    assert action.run("validate").returncode == 1
    refused = action.run("plna")
    assert (refused.returncode, "::error::" in refused.stdout) == (1, True)


@pytest.mark.engine
def test_a_plan_that_policies_deny_fails_the_step_and_is_in_the_comment(action: Action) -> None:
    action.scenario.write("sandboxes: {web: {template: base}}\npolicies: {closed: {use: no-internet}}\n")
    denied = action.run("plan")
    assert (denied.returncode, action.job.outputs()["exit-code"]) == (1, "1")
    assert "plan" not in action.job.outputs()
    action.comment()
    (comment,) = action.job.comments()
    assert "nothing of it can be applied" in comment["body"]
    assert "| an hour |" in comment["body"]


def test_a_job_with_several_steps_installs_once(tmp_path: Path) -> None:
    job = Job.begin(tmp_path / "job")
    job.program("python", f'#!/bin/sh\necho "$@" >>{tmp_path}/said\n')
    environment = {**job.environment(), "GITHUB_ACTION_PATH": "/actions/nexus"}
    for _ in range(2):
        assert bash(step("Install")["run"], tmp_path, environment).returncode == 0
    assert (tmp_path / "said").read_text().splitlines() == ["-m pip install --quiet /actions/nexus"]
    another = {**environment, "GITHUB_ACTION_PATH": "/actions/nexus-of-another-version"}
    assert bash(step("Install")["run"], tmp_path, another).returncode == 0
    assert len((tmp_path / "said").read_text().splitlines()) == 2


def test_no_expression_is_in_a_script_where_it_could_be_code() -> None:
    scripts = [item["run"] for item in ACTION["runs"]["steps"] if "run" in item]
    assert len(scripts) == 3
    assert [text for text in scripts if "${{" in text] == []


@pytest.mark.parametrize("definition", ["action.yml", "examples/gitops/.github/workflows/environments.yml"])
def test_a_definition_fits_the_schema_that_github_publishes(definition: str) -> None:
    validator = installed(Path(__file__).parent / "validator") / "node_modules" / ".bin" / "action-validator"
    done = subprocess.run([str(validator), str(ROOT / definition)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_what_the_validator_says_of_a_wrong_definition(tmp_path: Path) -> None:
    validator = installed(Path(__file__).parent / "validator") / "node_modules" / ".bin" / "action-validator"
    (tmp_path / "action.yml").write_text((ROOT / "action.yml").read_text().replace("using: composite", "using: bash"))
    done = subprocess.run([str(validator), str(tmp_path / "action.yml")], capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
