"""Live sandboxes changed in place, with and without the manifest."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

import pytest

from nexus.cli.main import run
from nexus.local.daemon import Endpoint
from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """\
secrets:
  token: {env: THE_TOKEN}
sandboxes:
  live:
    template: base
    env_vars: {STAGE: dev, OLD: "1"}
    start_command: echo "$STAGE" > /tmp/stage; exec sleep 1000
  web:   # the box
    template: base
    env_vars:
      STAGE: dev  # or prod
      OLD: "1"
    run_commands:
      - echo made > /tmp/made   # once
    start_command: echo "$STAGE" > /tmp/stage; exec sleep 1000
  other: {template: base, env_vars: {STAGE: dev}}
  pausing: {template: base, on_timeout: pause}
"""

SECRET = {"THE_TOKEN": "a-secret-for-configure"}


@pytest.fixture(scope="module")
def project(engine: Endpoint, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nexus]:
    """Applied once; every test has a sandbox of its own in it."""
    cli = Nexus(tmp_path_factory.mktemp("project"), engine.home)
    cli.write(MANIFEST)
    cli.ok("apply", "-y")
    yield cli
    cli.ok("destroy", "-y")


def changed_lines(before: str, after: str) -> list[str]:
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def test_a_live_change_is_drift_that_an_apply_takes_back(project: Nexus) -> None:
    ran = project.ok(
        "configure", "live", "--env", "STAGE=live", "--unset", "OLD", "--run", "echo hi; touch /tmp/ran", "--json"
    )
    document = ran.json("configure")
    assert (document["env_vars_updated"], document["env_vars_removed"], document["commands_executed"]) == (1, 1, 1)
    assert (document["restart_required"], document["written_to"]) == (True, None)
    seen = 'cat /tmp/ran; echo "$STAGE|$OLD|$(cat /tmp/stage)"'
    assert project.ok("exec", "live", "--", seen).out == "live||dev\n"

    assert project.ok("configure", "live", "--restart", "--json").json("configure")["restarted"]
    assert project.ok("exec", "live", "--", seen).out == "live||live\n"
    assert project.ok("plan", "--target", "sandbox.live").out.startswith("No changes")
    assert "the file of variables was edited" in project("drift").out
    project.ok("apply", "-y", "--deep", "--target", "sandbox.live")
    assert project.ok("exec", "live", "--", seen).out == "dev|1|live\n"


def test_a_written_change_leaves_nothing_to_plan_and_touches_no_other_line(project: Nexus) -> None:
    file = project.folder / "nexus.yaml"
    before = file.read_text()
    arguments = ["--env", "STAGE=prod", "--unset", "OLD", "--secret-env", "TOKEN=token", "--run", "echo two > /tmp/two"]
    ran = project.ok("configure", "web", *arguments, "--no-internet", "--write", "--restart", env=SECRET)
    assert "nexus.yaml says so, too" in ran.out
    assert "a-secret-for-configure" not in ran.out + ran.err + file.read_text()
    assert changed_lines(before, file.read_text()) == [
        "-      STAGE: dev  # or prod",
        '-      OLD: "1"',
        "+      STAGE: prod  # or prod",
        "+      TOKEN: ${{ secrets.token }}",
        "+      - echo two > /tmp/two",
        "+    network:",
        "+      internet: false",
    ]
    assert project.ok("plan", "--deep", "--detailed-exitcode", "--target", "sandbox.web", env=SECRET).code == 0
    seen = 'echo "$STAGE|$OLD|${#TOKEN}|$(cat /tmp/two)|$(cat /tmp/stage)"'
    assert project.ok("exec", "web", "--", seen).out == "prod||22|two|prod\n"

    project.ok("configure", "web", "--unset", "TOKEN", "--write", env=SECRET)
    assert "TOKEN:" not in file.read_text()
    assert project.ok("plan", "--detailed-exitcode", "--target", "sandbox.web").code == 0


def test_a_change_that_fails_is_not_written(project: Nexus) -> None:
    file = project.folder / "nexus.yaml"
    before = file.read_text()
    ran = project("configure", "other", "--env", "A=1", "--run", "exit 3", "--write", env=SECRET)
    assert (ran.code, "execution-error" in ran.err) == (1, True), ran.err
    assert file.read_text() == before
    # What was done before the command failed is known, and will be taken back: so it has to be applied first.
    assert "env_vars" in project("plan", "--target", "sandbox.other").out
    ran = project("configure", "other", "--env", "B=1", "--write", env=SECRET)
    assert (ran.code, "unapplied-changes" in ran.err) == (1, True), ran.err
    project.ok("apply", "-y", "--target", "sandbox.other", env=SECRET)


def test_a_paused_sandbox_is_only_changed_when_it_may_be_resumed(project: Nexus) -> None:
    project.ok("stop", "pausing")
    ran = project("configure", "pausing", "--env", "A=1")
    assert (ran.code, "sandbox-not-running" in ran.err) == (1, True)
    document = project.ok("configure", "pausing", "--env", "A=1", "--restart", "--json").json("configure")
    assert (document["restarted"], document["restart_required"]) == (True, False)
    assert project.ok("exec", "pausing", "--", "echo $A").out == "1\n"


@pytest.mark.parametrize(
    "arguments", [[], ["--env", "NOT_SET_HERE"], ["--restart", "--write"], ["--env", "A=1", "--unset", "A"]]
)
def test_wrong_usage_is_told_before_anything_is_looked_at(arguments: list[str], tmp_path: Path) -> None:
    assert run(["-C", str(tmp_path), "configure", "web", *arguments]) == 2
