"""Warm pools on an engine: several who take at once, takes that are killed, lost states, a controller that fills."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from tests.lifecycle.killing import DiskDeath, Moment
from tests.lifecycle.scenario import Scenario

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

MANIFEST = """
sandboxes:
  agent: {timeout: 20m, on_timeout: pause, pool: 2}
"""


def known(scenario: Scenario) -> dict[str, str]:
    """Addresses by id, as the state has them."""
    rows = scenario.run("state", "list", "--json").expect(0).json["resources"]
    return {row["id"]: row["address"] for row in rows if row["address"].startswith("sandbox.")}


def there(scenario: Scenario) -> set[str]:
    return {info.sandbox_id for infos in scenario.live().values() for info in infos}


def test_each_who_takes_at_once_gets_another_one_and_the_next_apply_fills_the_pool(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    taking = [scenario.start("pool", "take", "agent", "--json") for _ in range(3)]
    ended = [scenario.heard(run.wait()) for run in taking]
    assert sorted(outcome.code for outcome in ended) == [0, 0, 1]
    given = [outcome.json["sandbox_id"] for outcome in ended if outcome.code == 0]
    assert len(set(given)) == 2
    assert set(given) == there(scenario)

    plan = scenario.plan()
    assert {item["address"]: item["cause"] for item in plan["changes"]} == {
        f'sandbox.agent["{place}"]': "taken from the pool" for place in "01"
    }
    scenario.apply().expect(0)
    scenario.expect_no_changes()
    assert len(there(scenario)) == 4

    # The state is lost: who has what is told by the sandboxes alone, paused ones too.
    scenario.run("stop", given[0]).expect(0)
    (scenario.folder / ".nexus").rename(scenario.folder / "lost")
    scenario.run("state", "rebuild", "-y").expect(0)
    again = known(scenario)
    assert {again[item] for item in given} == {f'sandbox.agent["taken-{item}"]' for item in given}
    assert len(again) == 4
    scenario.expect_no_changes()

    scenario.destroy().expect(0)
    assert not there(scenario)


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([(3, Moment.AFTER), (5, Moment.HALFWAY), (6, Moment.AFTER), (9, Moment.BEFORE)], id="some"),
        pytest.param(
            [(count, moment) for count in range(1, 16) for moment in Moment], id="all", marks=pytest.mark.thorough
        ),
    ],
)
def test_a_take_that_is_killed_gives_nothing_out_twice_and_forgets_nothing(
    scenario: Scenario, moments: list[tuple[int, Moment]]
) -> None:
    scenario.write(MANIFEST)
    scenario.apply().expect(0)
    given: list[str] = []
    for count, moment in moments:
        death = DiskDeath(count, moment, scenario.folder / "tally")
        killed = scenario.heard(scenario.start("pool", "take", "agent", "--json", prepare=death).wait())
        taken = scenario.run("pool", "take", "agent", "--json", "--create").expect(0)
        given += [outcome.json["sandbox_id"] for outcome in (killed, taken) if outcome.code == 0]
        assert there(scenario) <= known(scenario).keys()
    assert len(given) == len(set(given)) >= len(moments)
    addresses = known(scenario)
    assert all(addresses[item] == f'sandbox.agent["taken-{item}"]' for item in given)
    scenario.destroy().expect(0)
    assert not there(scenario)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.05)


def test_a_controller_fills_what_was_taken_at_its_next_look(scenario: Scenario) -> None:
    scenario.write(MANIFEST)
    run = scenario.start("reconcile", "--interval", "1s", "--listen", "127.0.0.1:0", "--log", "json")
    try:
        words = ("pool", "take", "agent", "--wait", "1m", "--json")
        given = [scenario.run(*words).expect(0).json["sandbox_id"] for _ in range(4)]
        assert len(set(given)) == 4

        def is_full() -> bool:
            (pool,) = json.loads(scenario.run("pool", "list", "--json").stdout)["pools"]
            return bool(pool["ready"] == 2 and len(pool["taken"]) == 4)

        until(is_full)
    finally:
        run.kill()
