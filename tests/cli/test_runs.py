"""``nexus runs``: what a run of a pipeline left, after it failed, and after it was continued."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
secrets:
  token: {env: THE_TOKEN}
sandboxes:
  a: {template: base}
pipelines:
  p:
    steps:
      make: {sandbox: a, run: "echo making; echo 1 >> /home/user/made; date > /home/user/x", outputs: {x: /home/user/x}}
      check:
        sandbox: a
        inputs: {/tmp/x: "${{ step.p.make.outputs.x }}"}
        env_vars: {TOKEN: "${{ secrets.token }}"}
        run: "echo $TOKEN; test -e /home/user/ok"
        retries: 1
      after: {sandbox: a, needs: [check], run: echo done}
      apart: {sandbox: a, run: echo apart}
"""
SECRET = {"THE_TOKEN": "a-seeded-secret"}


def test_a_failed_run_is_on_record_and_goes_on_with_what_failed(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    assert "No run was recorded yet" in nexus.ok("runs").err
    failed = nexus("run", "p", "-y", "--junit", "report.xml", env=SECRET)
    assert failed.code == 3
    assert "run «nexus run p» again" in failed.err
    (case,) = (
        item for item in ElementTree.parse(nexus.folder / "report.xml").iter("testcase") if item.get("name") == "check"
    )
    assert case.find("failure") is not None
    shown = nexus.ok("runs", "show", "--json").json("run")
    assert (shown["command"], shown["status"]) == ("run p", "failed")
    steps = {item["address"]: item for item in shown["steps"]}
    assert steps["step.p.check"]["attempts"] == 2
    assert steps["step.p.check"]["exit_code"] == 1
    assert steps["step.p.make"]["artefacts"]["x"]["size"] > 0
    assert steps["step.p.after"]["outcome"] == "skipped"
    assert {item["verb"] for item in shown["timeline"]} >= {"create", "arm", "run-step"}
    assert all(item["started_at"] for item in shown["timeline"] if item["outcome"] == "succeeded")
    assert nexus.ok("runs", "show", "--log", "check").out == "(sensitive)\n(sensitive)\n"

    nexus.ok("exec", "a", "--", "touch /home/user/ok")
    nexus.ok("run", "p", "-y", "--junit", "report.xml", env=SECRET)
    again = nexus.ok("runs", "show", "--json").json("run")
    assert {item["address"]: item["outcome"] for item in again["steps"]} == {
        "step.p.make": "unchanged",
        "step.p.check": "succeeded",
        "step.p.after": "succeeded",
        "step.p.apart": "unchanged",
    }
    assert [item["verb"] for item in again["timeline"]] == ["run-step", "run-step"]
    assert nexus.ok("exec", "a", "--", "cat /home/user/made").out == "1\n"
    assert [item["status"] for item in nexus.ok("runs", "--json").json("runs")["runs"]] == ["succeeded", "failed"]
    assert not any(b"seeded" in path.read_bytes() for path in (nexus.folder / ".nexus").rglob("*") if path.is_file())

    unknown = nexus("runs", "show", "1999")
    assert unknown.code == 1
    assert "unknown-run" in unknown.err
