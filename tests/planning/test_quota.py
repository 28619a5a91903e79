"""What the account does not allow is told when planning, with its place."""

from __future__ import annotations

import pytest

from nexus.model.diagnostics import Diagnostic, SourcePos, SourceRange
from nexus.model.observation import Observation, Presence
from nexus.planning import AccountLimits, make_plan, over_quota
from tests.fakes.applier import World

PLACE = SourceRange("nexus.yaml", SourcePos(2, 3), SourcePos(2, 9))


def limits(**said: int) -> AccountLimits:
    return AccountLimits(**said, tier="hobby", places={"tier": PLACE})  # type: ignore[arg-type]


def told(world: World, manifest: str, allowed: AccountLimits, running: int | None = None) -> list[Diagnostic]:
    seen = world.observe()
    observation = Observation(records=seen.records, catalogue=seen.catalogue, running=running)
    request = world.request(manifest, observation)
    planned = make_plan(request)
    return list(over_quota(planned.plan, planned.evaluation, world.state, observation, allowed))


THREE = "sandboxes: {box: {count: 3, template: t}}"
FIVE = "sandboxes: {box: {count: 5, template: t}}"


def test_more_sandboxes_than_the_account_may_run_are_an_error_with_its_place() -> None:
    (found,) = told(World(), FIVE, limits(concurrent_sandboxes=4))
    assert (found.severity, found.code, found.range) == ("error", "quota-exceeded", PLACE)
    assert "needs 5 sandboxes at once; an account of the tier hobby allows 4" in found.detail
    assert told(World(), FIVE, limits(concurrent_sandboxes=5)) == []


def test_what_runs_already_counts() -> None:
    world = World()
    world.apply(THREE)
    (found,) = told(world, FIVE, limits(concurrent_sandboxes=4))
    assert "needs 5" in found.detail
    assert told(world, THREE, limits(concurrent_sandboxes=1)) == []  # nothing is started


def test_what_is_deleted_makes_room_and_what_is_paused_takes_none() -> None:
    world = World()
    world.apply(THREE)
    assert told(world, "sandboxes: {other: {count: 3, template: t}}", limits(concurrent_sandboxes=3)) == []
    world.find_as('sandbox.box["0"]', Presence.PAUSED)
    assert told(world, "sandboxes: {box: {count: 4, template: t}}", limits(concurrent_sandboxes=3)) == []


def test_sandboxes_of_others_in_the_account_are_a_warning() -> None:
    world = World()
    world.apply(THREE)
    (found,) = told(world, FIVE, limits(concurrent_sandboxes=10), running=9)
    assert (found.severity, found.code, found.range) == ("warning", "quota-short", PLACE)
    assert "needs 5 sandboxes at once, and 6 of others run in the account" in found.detail
    assert told(world, FIVE, limits(concurrent_sandboxes=11), running=9) == []
    assert told(world, FIVE, limits(concurrent_sandboxes=10), running=None) == []


@pytest.mark.parametrize(("timeout", "count"), [("1h", 0), ("61m", 1), ("90m", 1)])
def test_a_timeout_that_the_account_does_not_allow_is_told_once_at_its_place(timeout: str, count: int) -> None:
    manifest = f"sandboxes:\n  box:\n    count: 3\n    template: t\n    timeout: {timeout}\n"
    found = told(World(), manifest, limits(max_timeout=3600))
    assert len(found) == count
    for item in found:
        assert item.code == "timeout-too-long"
        assert item.range is not None
        assert item.range.start.line == 5
        assert "allows 1h" in item.detail
