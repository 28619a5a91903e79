"""``kill -9`` at every request of an apply that replaces: what should stay is not lost, what should go is gone.

One sandbox is made before its old one goes, which leaves a snapshot; the old one of the other is left paused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.lifecycle import proxy
from tests.lifecycle.conftest import NewScenario
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.test_kills import KILLED, die_on_request, remote

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.timeout(900)]

FIRST, OTHER = "sandbox.first", "sandbox.other"
AT_ONCE = 4


def manifest(version: str) -> str:
    return f"""
sandboxes:
  first:
    timeout: 20m
    metadata: {{version: {version}}}
    lifecycle: {{create_before_destroy: true, on_destroy: snapshot}}
  other: {{timeout: 20m, metadata: {{version: {version}}}, lifecycle: {{on_destroy: pause}}}}
"""


def begin(new: NewScenario) -> tuple[Scenario, str]:
    """A project whose next apply replaces both; and the id of the one that is to be left paused."""
    scenario = remote(new())
    scenario.write(manifest("one"))
    scenario.apply().expect(0)
    left = scenario.id_of(OTHER)
    scenario.write(manifest("two"))
    return scenario, left


def check(scenario: Scenario, left: str) -> None:
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    live = scenario.live()
    assert [info.metadata["version"] for info in live[FIRST]] == ["two"]
    states = {info.sandbox_id: (info.state.value, info.metadata["version"]) for info in live[OTHER]}
    assert states.pop(left) == ("paused", "one")
    assert list(states.values()) == [("running", "two")]
    assert scenario.run("state", "list", "--json").expect(0).json["resources"][1]["id"] in states


@pytest.mark.parametrize(
    "moment",
    [
        proxy.Moment.ANSWERED,
        *(pytest.param(item, marks=pytest.mark.thorough) for item in (proxy.Moment.BEFORE, proxy.Moment.SENT)),
    ],
)
def test_killed_at_every_request_of_a_replacement(new_scenario: NewScenario, moment: proxy.Moment) -> None:
    seen: list[str] = []
    scenario, left = begin(new_scenario)
    die_on_request(moment, seen)(scenario, 0).expect(0)
    check(scenario, left)
    assert sum("POST" in line or "DELETE" in line for line in seen) > 5

    def one(number: int) -> str:
        scenario, left = begin(new_scenario)
        outcome = die_on_request(moment)(scenario, number)
        try:
            outcome.expect(KILLED, 0)
            check(scenario, left)
        except AssertionError as failure:
            return f"killed at {number}: {failure}\nthe killed run said:\n{outcome.text}"
        return ""

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failures = [text for text in pool.map(one, range(1, len(seen) + 1)) if text]
    assert not failures, f"{len(failures)} failures\n" + "\n\n".join(failures)
