"""``nexus run``: steps that are due or asked for, with what they need and nothing else."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
sandboxes:
  a: {template: base}
  other: {template: base}
pipelines:
  p:
    steps:
      usual: {sandbox: a, run: "echo usual >> /home/user/log"}
      seldom: {sandbox: a, run: "echo seldom >> /home/user/log", on: manual}
"""


def test_steps_run_when_they_are_due_or_asked_for(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    nexus.ok("run", "p", "usual", "-y")
    assert nexus.ok("state", "list").out.split() == ["sandbox.a", "step.p.usual"]
    assert "No changes" in nexus.ok("run", "p", "usual", "-y").err
    nexus.ok("apply", "-y")
    nexus.ok("run", "p", "-y")
    nexus.ok("run", "p", "usual", "--force", "-y")
    assert nexus.ok("exec", "a", "--", "cat log").out.split() == ["usual", "seldom", "usual"]
    assert nexus("plan", "--detailed-exitcode").code == 0


def test_an_unknown_pipeline_or_step_is_named(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    assert "hint: known names: p" in nexus("run", "q", "-y").err
    unknown = nexus("run", "p", "usal", "-y")
    assert unknown.code == 1
    assert "did you mean «usual»?" in unknown.err
