"""``kill -9`` at every moment of an apply: the next apply converges, and nothing is left over or made twice.

Moments are counted in a run that is left alone, and then every one of them is gone through, each in a project of its
own: every change of a file (the journal's records, the state, its backup), and every request to the API or into a
sandbox.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.lifecycle import killing, proxy
from tests.lifecycle.conftest import NewScenario
from tests.lifecycle.killing import DiskDeath
from tests.lifecycle.proxy import Requests
from tests.lifecycle.scenario import Scenario
from tests.processes import Outcome

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

MANIFEST = """
volumes: {disk: {}}
templates:
  tool: {base_template: base, run_commands: [echo built > /opt/built], tags: [v1]}
sandboxes:
  one:
    template: ${{ template.tool }}
    timeout: 20m
    uploads: [{path: /srv/note, content: hello}]
    run_commands: [echo ready > /srv/ready]
    volumes: {/data: "${{ volume.disk }}"}
  two: {timeout: 20m, env_vars: {A: b}}
pipelines:
  p: {steps: {s: {sandbox: two, run: "echo $A > /home/user/made", outputs: {made: /home/user/made}}}}
"""
ONE, TWO = "sandbox.one", "sandbox.two"
KILLED = -signal.SIGKILL
AT_ONCE = 4

# Just before a change is as good as just after the one before it.
DISK_MOMENTS = [
    pytest.param(killing.Moment.BEFORE, marks=pytest.mark.thorough),
    killing.Moment.HALFWAY,
    killing.Moment.AFTER,
]
REQUEST_MOMENTS = [
    pytest.param(proxy.Moment.BEFORE, marks=pytest.mark.thorough),
    proxy.Moment.SENT,
    proxy.Moment.ANSWERED,
]

Kill = Callable[[Scenario, int], Outcome]


def check_convergence(scenario: Scenario) -> None:
    """After whatever happened: one apply, and all is as the manifest says; one destroy, and nothing is left."""
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    scenario.expect_live(ONE, TWO)
    assert len(scenario.templates()) == len(scenario.volumes()) == 1
    assert scenario.inside(ONE, "cat /opt/built /srv/note /srv/ready && touch /data/mine") == "built\nhelloready"
    assert scenario.inside(TWO, "cat /home/user/made") == "b"
    scenario.destroy().expect(0)
    scenario.expect_nothing_left()


def kill_at_each(new: Callable[[], Scenario], moments: Iterable[int], kill: Kill, text: str = MANIFEST) -> None:
    """A project for each moment. All failures are told together."""

    def one(number: int) -> str:
        scenario = new()
        scenario.write(text)
        outcome = kill(scenario, number)
        try:
            outcome.expect(KILLED, 0)
            check_convergence(scenario)
        except AssertionError as failure:
            return f"killed at {number}: {failure}\nthe killed run said:\n{outcome.text}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [text for text in pool.map(one, moments) if text]
    assert not failures, f"{len(failures)} failures\n" + "\n\n".join(failures)


@pytest.fixture
def new(new_scenario: NewScenario) -> NewScenario:
    """Projects in an account where the catalogue's template is built already: its build is nobody's own."""
    first = new_scenario()
    first.write("sandboxes: {box: {timeout: 1m}}")
    first.apply().expect(0)
    first.destroy().expect(0)
    return new_scenario


def tally(scenario: Scenario) -> Path:
    return scenario.folder.with_suffix(".tally")


def die_on_disk(moment: killing.Moment) -> Kill:
    def kill(scenario: Scenario, number: int) -> Outcome:
        death = DiskDeath(number, moment, tally(scenario))
        return scenario.start("apply", "-y", prepare=death).wait()

    return kill


def die_on_request(moment: proxy.Moment, seen: list[str] | None = None) -> Kill:
    def kill(scenario: Scenario, number: int) -> Outcome:
        requests = Requests(number, moment)
        with ExitStack() as stack:
            api = stack.enter_context(proxy.proxy(scenario.engine.api_url, requests))
            inside = stack.enter_context(proxy.proxy(scenario.engine.sandbox_url, requests))
            run = scenario.start("apply", "-y", **through(scenario, api, inside))
            requests.aim(run.pid)
            outcome = run.wait()
        if seen is not None:
            seen.extend(requests.seen)
        return outcome

    return kill


def through(scenario: Scenario, api: str, inside: str) -> dict[str, str]:
    """Environment variables that reach the engine as any E2B deployment, at these addresses."""
    return {
        "NEXUS_TARGET": "e2b",
        "E2B_API_KEY": scenario.engine.api_key,
        "E2B_API_URL": api,
        "E2B_SANDBOX_URL": inside,
        "E2B_VOLUME_API_URL": api,
    }


@pytest.mark.parametrize("moment", DISK_MOMENTS)
def test_killed_at_every_change_of_a_file(new: NewScenario, moment: killing.Moment) -> None:
    first = new()
    first.write(MANIFEST)
    die_on_disk(moment)(first, 0).expect(0)
    steps = int(tally(first).read_text())
    check_convergence(first)
    assert steps > 20
    kill_at_each(new, range(1, steps + 1), die_on_disk(moment))


@pytest.mark.parametrize("moment", REQUEST_MOMENTS)
def test_killed_at_every_request(new: NewScenario, moment: proxy.Moment) -> None:
    seen: list[str] = []
    first = new()
    first.environment |= through(first, first.engine.api_url, first.engine.sandbox_url)
    first.write(MANIFEST)
    die_on_request(moment, seen)(first, 0).expect(0)
    check_convergence(first)
    assert sum("POST" in line for line in seen) > 10
    kill_at_each(lambda: remote(new()), range(1, len(seen) + 1), die_on_request(moment))


def remote(scenario: Scenario) -> Scenario:
    scenario.environment |= through(scenario, scenario.engine.api_url, scenario.engine.sandbox_url)
    return scenario
