"""``kill -9`` at any time while a project is being changed or taken down: the next run ends what was begun."""

from __future__ import annotations

import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lifecycle.conftest import NewScenario
from tests.lifecycle.scenario import Scenario
from tests.processes import Run

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(600)]

TRIALS = 8
KILLED = -signal.SIGKILL

BEFORE = """
volumes: {disk: {}, old: {}}
templates: {tool: {base_template: base, run_commands: [echo one > /opt/built], tags: [v1]}}
sandboxes:
  built: {template: "${{ template.tool }}", timeout: 20m, volumes: {/data: "${{ volume.disk }}"}}
  updated: {timeout: 20m, env_vars: {A: one}, run_commands: [echo one > /srv/one]}
  replaced: {timeout: 20m, metadata: {team: one}, lifecycle: {create_before_destroy: true}}
  deleted: {timeout: 20m}
pipelines: {p: {steps: {s: {sandbox: replaced, run: "echo one > /home/user/made"}}}}
"""
AFTER = """
volumes: {disk: {}, new: {}}
templates: {tool: {base_template: base, run_commands: [echo two > /opt/built], tags: [v2]}}
sandboxes:
  built: {template: "${{ template.tool }}", timeout: 20m, volumes: {/data: "${{ volume.disk }}"}}
  updated: {timeout: 30m, env_vars: {A: two}, run_commands: [echo two > /srv/two]}
  replaced: {timeout: 20m, metadata: {team: two}, lifecycle: {create_before_destroy: true}}
  created: {timeout: 20m, volumes: {/data: "${{ volume.new }}"}}
pipelines: {p: {steps: {s: {sandbox: replaced, run: "echo two > /home/user/made"}}}}
"""


def kill_after(run: Run, seconds: float) -> str:
    """Let it live so long, and say how it ended."""
    time.sleep(seconds)
    run.kill()
    outcome = run.wait()
    assert outcome.code in (KILLED, 0), outcome.text
    return outcome.text


def check_changed(scenario: Scenario) -> None:
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live("sandbox.built", "sandbox.updated", "sandbox.replaced", "sandbox.created")
    assert scenario.inside("sandbox.built", "cat /opt/built") == "two"
    assert scenario.inside("sandbox.updated", "cat /srv/two; bash -lc 'echo $A'") == "two\ntwo"
    assert scenario.inside("sandbox.replaced", "cat /home/user/made") == "two"
    assert scenario.only("sandbox.replaced").metadata["team"] == "two"
    assert len(scenario.templates()) == 1
    assert sorted(scenario.volumes()) == [f"{scenario.project}--default--{name}" for name in ("disk", "new")]


def check_destroyed(scenario: Scenario) -> None:
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def test_killed_at_any_time_while_changing_and_while_destroying(new_scenario: NewScenario) -> None:
    seed = random.randrange(2**32)
    chance = random.Random(seed)
    delays = [(chance.uniform(0.2, 2.5), chance.uniform(0.2, 1.2)) for _ in range(TRIALS)]

    def trial(delay: tuple[float, float]) -> str:
        scenario = new_scenario()
        scenario.write(BEFORE)
        scenario.apply().expect(0)
        scenario.write(AFTER)
        said = ""
        try:
            said = kill_after(scenario.start("apply", "-y"), delay[0])
            check_changed(scenario)
            said = kill_after(scenario.start("destroy", "-y"), delay[1])
            check_destroyed(scenario)
        except AssertionError as failure:
            return f"killed after {delay}: {failure}\nthe killed run said:\n{said}"
        return ""

    with ThreadPoolExecutor(3) as pool:
        failures = [text for text in pool.map(trial, delays) if text]
    assert not failures, f"seed {seed}: {len(failures)} failures\n" + "\n\n".join(failures)
