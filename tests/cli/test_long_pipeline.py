"""Thirty steps over ten sandboxes that hand files round: killed in the middle, looked at, and continued."""

from __future__ import annotations

import json
import subprocess
from collections import Counter

import pytest

from tests.cli.conftest import Nexus

pytestmark = pytest.mark.engine

MANIFEST = """
sandboxes:
  w: {count: 10, template: base}
pipelines:
  ring:
    steps:
      make:
        sandbox: ${{ sandbox.w }}
        run: echo make >> log; head -c 200000 /dev/urandom > x
        outputs: {x: /home/user/x}
      turn:
        sandbox: ${{ sandbox.w }}
        inputs: {/home/user/in: "${{ step.ring.make[string((int(each.key) + 1) % 10)].outputs.x }}"}
        run: echo turn >> log; tr a-y b-z < in > y
        outputs: {y: /home/user/y}
      sum:
        sandbox: ${{ sandbox.w }}
        inputs: {/home/user/in2: "${{ step.ring.turn[string((int(each.key) + 3) % 10)].outputs.y }}"}
        run: echo sum >> log; sha256sum < in2 > z
        outputs: {z: /home/user/z}
"""
KILLED_AFTER = 12


def test_a_pipeline_that_is_killed_in_the_middle_goes_on_where_it_was(nexus: Nexus) -> None:
    nexus.write(MANIFEST)
    kill_after(nexus, KILLED_AFTER)
    killed = nexus.ok("runs", "show", "--json").json("run")
    assert killed["status"] == "interrupted"
    done = {item["address"] for item in killed["steps"] if item["outcome"] == "succeeded"}
    assert KILLED_AFTER <= len(done) < 30

    nexus.ok("run", "ring", "-y", "--junit", "steps.xml")
    assert 'tests="30" failures="0" errors="0" skipped="0"' in (nexus.folder / "steps.xml").read_text()
    went_on = nexus.ok("runs", "show", "--json").json("run")
    assert went_on["status"] == "succeeded"
    ran = {item["address"] for item in went_on["steps"] if item["outcome"] == "succeeded"}
    assert not ran & done
    assert Counter(item["outcome"] for item in went_on["steps"]) == {"succeeded": len(ran), "unchanged": 30 - len(ran)}
    for key in (0, 4, 9):
        times = Counter(nexus.ok("exec", f"w[{key}]", "--", "cat log").out.split())
        assert times.keys() == {"make", "turn", "sum"}
        for step, count in times.items():
            assert count == 1 or f'step.ring.{step}["{key}"]' not in done
    assert "No changes" in nexus.ok("run", "ring", "-y").err


def kill_after(nexus: Nexus, steps: int) -> None:
    """Run the pipeline, and kill nexus as it says that so many steps have run."""
    process = subprocess.Popen(
        nexus.command("run", "ring", "-y", "--json"),
        cwd=nexus.folder,
        env=nexus.environment({}),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    with process:
        for event in map(json.loads, process.stdout):
            steps -= event["type"] == "operation-finished" and event["operation"]["verb"] == "run-step"
            if not steps:
                process.kill()
                break
    assert process.returncode == -9
