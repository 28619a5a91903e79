"""A project's life on the engine, command by command, and what each says to people and to machines."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from nexus.workflows.loading import LoadRequest, load
from tests.cli.conftest import Nexus, Ran, check

pytestmark = pytest.mark.engine

MANIFEST = """
variables:
  stage: {type: string, default: dev}
environments:
  prod: {stage: prod}
sandboxes:
  a: {template: base, env_vars: {STAGE: "${{ vars.stage }}"}}
  b: {template: base, env_vars: {OTHER: "${{ sandbox.a.id }}"}}
outputs:
  stage: {value: "${{ vars.stage }}"}
  a: {value: "${{ sandbox.a.id }}"}
"""


def events(ran: Ran) -> list[dict[str, object]]:
    found = [json.loads(line) for line in ran.out.splitlines()]
    for event in found:
        check(event, "events")
    return found


def test_from_init_to_destroy(nexus: Nexus) -> None:
    begun = nexus.ok("init", "--name", "whole-trip")
    assert "Next: nexus plan" in begun.out
    assert nexus.ok("validate").out.startswith("The manifest is valid: ")
    assert nexus.ok("validate", "--json").json("validate")["valid"] is True

    planned = nexus("plan", "--json", "--detailed-exitcode")
    assert planned.code == 2
    document = planned.json("plan")
    assert {change["address"] for change in document["changes"]} >= {"sandbox.web", "sandbox.client"}
    assert planned.err == ""

    text = nexus.ok("plan")
    assert text.err.startswith("Target: local (")
    assert "+ sandbox.web  create: not in state" in text.out
    assert "packages  pip: six" in text.out
    assert "uploads        /home/user/app  (1 file)" in text.out

    applied = nexus.ok("apply", "-y")
    assert applied.err.startswith("Target: local (")
    assert "Apply complete in " in applied.err
    assert applied.out.startswith("Outputs:\n  url = ")

    assert nexus("plan", "--detailed-exitcode").code == 0
    assert nexus.ok("plan").out == "No changes. What is out there matches the manifest.\n"
    assert nexus.ok("apply", "-y").code == 0

    url = nexus.ok("output", "--raw", "url").out.strip()
    assert nexus.ok("output", "--json").json("output")["url"]["value"] == url
    shown = nexus.ok("show", "--json").json("show")
    assert shown["target"]["kind"] == "local"
    assert "sandbox.web" in nexus.ok("show").out
    listed = nexus.ok("state", "list").out.split()
    assert {"sandbox.web", "sandbox.client", "step.check.fetch"} <= set(listed)
    assert nexus.ok("state", "list", "--json").json("resources")["resources"]
    assert nexus.ok("state", "show", "sandbox.web", "--json").json("record")["outputs"]["urls"] == {"http": url}

    answer = nexus.ok("exec", "client", "--", "cat", "answer.txt").out
    assert answer.startswith("Hello from ")
    assert {item["name"] for item in nexus.ok("list", "--json").json("list")["sandboxes"]} == {"web", "client"}
    assert nexus.ok("logs", "web", "--json").json("logs")["logs"]

    destroyed = nexus.ok("destroy", "-y", "--json")
    last = events(destroyed)[-1]
    assert last["type"] == "apply-finished"
    assert nexus.ok("list", "--json").json("list")["total_count"] == 0
    assert nexus.ok("show").out.startswith("The state is empty.")
    assert "Nothing to destroy." in nexus.ok("destroy", "-y").err


def test_apply_tells_its_events_and_a_saved_plan_is_done_exactly(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    saved = nexus.ok("plan", "--out", "it.plan")
    assert "nexus apply it.plan" in saved.out
    assert nexus.ok("show", "it.plan", "--json").json("plan")["summary"]["create"] >= 2
    told = events(nexus.ok("apply", "it.plan", "--json"))
    kinds = [event["type"] for event in told]
    assert kinds[:2] == ["plan-ready", "apply-started"]
    assert kinds[-1] == "apply-finished"
    stale = nexus("apply", "it.plan")
    assert stale.code == 1
    assert "error[plan-stale]" in stale.err
    assert nexus("apply", "it.plan", "--var", "stage=x").code == 2


def test_variables_files_and_environments_make_different_projects(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    (nexus.folder / "qa.yaml").write_text("stage: qa\n")
    nexus.ok("apply", "-y", "--var-file", "qa.yaml")
    assert nexus.ok("output", "--raw", "stage").out == "qa\n"
    changed = nexus.ok("plan", "--var", "stage=x", "--json").json("plan")
    assert [change["address"] for change in changed["changes"]] == ["sandbox.a"]
    nexus.ok("apply", "-y", "-e", "prod")
    assert nexus.ok("output", "--raw", "stage", "-e", "prod").out == "prod\n"
    assert nexus.ok("exec", "-e", "prod", "a", "--", "echo $STAGE").out == "prod\n"
    assert nexus.ok("list", "--json", "-e", "prod").json("list")["total_count"] == 2
    nexus.ok("destroy", "-y", "-e", "prod")
    assert nexus.ok("list", "--json").json("list")["total_count"] == 2


def test_a_selection_limits_what_is_done(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    nexus.ok("apply", "-y", "--target", "sandbox.a")
    assert "sandbox.b" not in nexus.ok("state", "list").out
    assert "No changes in what was selected." in nexus.ok("plan", "--exclude", "sandbox.b").out
    nexus.ok("apply", "-y")
    before = nexus.ok("output", "--raw", "a").out
    replaced = nexus.ok("plan", "--replace", "sandbox.a")
    assert "-/+ sandbox.a  replace: asked for by --replace" in replaced.out
    applied = nexus.ok("apply", "-y", "--replace", "sandbox.a")
    assert "deleted the old one" in applied.err
    assert nexus.ok("output", "--raw", "a").out != before
    nexus.ok("destroy", "-y", "--target", "sandbox.b")
    assert nexus.ok("state", "list").out.split() == ["sandbox.a"]


def test_a_failure_names_what_failed_where_and_what_to_do(nexus: Nexus) -> None:
    nexus.write(
        """
sandboxes:
  good: {template: base}
  bad:
    template: base
    run_commands: ["echo about to fail; exit 3"]
pipelines:
  p:
    steps:
      s: {sandbox: bad, run: echo never}
"""
    )
    ran = nexus("apply", "-y")
    assert ran.code == 3
    assert "sandbox.bad │ about to fail" in ran.err
    assert "failed: running run_commands[0]" in ran.err
    assert "--> nexus.yaml:8:20" in ran.err
    summary = ran.err[ran.err.index("Apply incomplete in ") :]
    assert " created, 1 failed, 1 skipped" in summary, "the catalogue's template, too, unless another test built it"
    assert "✗ sandbox.bad: run_commands[0] failed with exit code 3" in summary
    assert "- step.p.s: skipped, " in summary
    assert "Mend what failed, then run «nexus apply» again" in summary
    text = (nexus.folder / "nexus.yaml").read_text().replace("exit 3", "exit 0")
    (nexus.folder / "nexus.yaml").write_text(text)
    again = nexus.ok("apply", "-y")
    assert "1 updated, 1 run" in again.err


def test_the_examples_that_init_offers_are_valid(nexus: Nexus, tmp_path: Path) -> None:
    names = [line.split()[0] for line in nexus.ok("init", "--list").out.splitlines()]
    assert "quickstart" in names
    for name in names:
        elsewhere = Nexus(tmp_path, nexus.home)
        elsewhere.ok("-C", name, "init", name)
        assert load(LoadRequest(path=tmp_path / name)).diagnostics == ()


def test_the_doctors_and_the_engine_tell_how_it_is(nexus: Nexus) -> None:
    found = nexus.ok("doctor", "--json").json("doctor")
    assert (found["target"], found["usable"]) == ("local", True)
    assert nexus.ok("local", "doctor", "--json").json("doctor")["usable"]
    assert "The target «local» can be used." in nexus.ok("doctor").out
    status = nexus.ok("local", "status", "--json").json("local-status")
    assert (status["running"], status["lacks"]) == (True, [])
    assert nexus.ok("local", "prune", "--json").json()["freedBytes"] >= 0
    assert "tier" in nexus.ok("local", "status").out
    variables = nexus.ok("local", "env").out
    assert {line.split("=")[0] for line in variables.splitlines()} >= {
        "export E2B_API_URL",
        "export E2B_SANDBOX_URL",
        "export E2B_VOLUME_API_URL",
        "export E2B_DOMAIN",
        "export E2B_API_KEY",
        "export NODE_EXTRA_CA_CERTS",
    }
    assert nexus.ok("local", "logs", "-n", "1").out


def test_what_was_destroyed_may_be_made_again_on_another_target(nexus: Nexus) -> None:
    nexus.write("sandboxes: {a: {template: base}}\n")
    nexus.ok("apply", "-y")
    nexus.ok("destroy", "-y")
    path = nexus.folder / ".nexus" / "default" / "state.json"
    state = json.loads(path.read_text())
    state["target"]["account"] = "local-0123456789abcdef"
    path.write_text(json.dumps(state))
    nexus.ok("apply", "-y")
    assert nexus("plan", "--detailed-exitcode").code == 0
    other = path.read_text().replace(json.loads(path.read_text())["target"]["account"], "local-0123456789abcdef")
    kept = path.read_text()
    path.write_text(other)
    assert "error[target-mismatch]" in nexus("plan").err
    path.write_text(kept)


def test_the_recipe_for_continuous_integration_works(nexus: Nexus) -> None:
    nexus.ok("init", "--name", "recipe")
    recipe = yaml.safe_load((nexus.folder / ".github" / "workflows" / "nexus.yml").read_text())
    lines = [step.get("run", "") for step in recipe["jobs"]["manifest"]["steps"]]
    commands = [line.partition("nexus ")[2].split() for line in lines if "nexus " in line]
    assert [command[0] for command in commands] == ["validate", "apply", "plan", "destroy"]
    for command in commands:
        nexus.ok(*command)


def test_an_apply_goes_on_when_nobody_reads_of_it_any_more(nexus: Nexus) -> None:
    nexus.write("sandboxes:\n  web: {template: base, run_commands: [echo one, echo two]}\n")
    command = nexus.command("apply", "-y", "--json")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, cwd=nexus.folder, env=nexus.environment({}), **pipes) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        said = process.stderr.read()
    assert (process.returncode, said) == (0, b"")
    assert nexus("plan", "--detailed-exitcode").code == 0
