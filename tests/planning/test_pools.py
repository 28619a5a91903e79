"""Warm pools in the plan: places that are empty are filled, what was taken is left alone until its pool is gone."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from nexus.graph import build
from nexus.model.addresses import Address
from nexus.model.changes import Action, Plan
from nexus.model.observation import Observed, Presence
from nexus.model.state import Taken
from nexus.planning import as_taken, drift_of, is_whole, moved, taken_address, without_ended
from tests.fakes.applier import NOW, World
from tests.fakes.manifests import inputs_of
from tests.planning.worlds import applied, settled

MANIFEST = """
sandboxes:
  agent:
    template: base
    timeout: 2h
    pool: {size: 3, max_age: 1h}
    run_commands: [make ready]
"""
AGENT = Address("sandbox", "agent")


def take(world: World, key: str) -> Address:
    """As `nexus pool take` leaves the state."""
    record = world.state.resources[Address("sandbox", "agent", key)]
    taken = as_taken(record, Taken(place=key, by="ada@desk", at="2030-01-01T12:00:00Z"))
    kept = {address: item for address, item in world.state.resources.items() if address != record.address}
    world.state = replace(world.state, resources={**kept, taken.address: taken})
    return taken.address


def told(plan: Plan) -> list[str]:
    changes = (change for change in plan.changes if change.address.kind != "catalogue")
    return [f"{change.action} {change.address.short}: {change.cause}" for change in changes]


def test_a_pool_has_as_many_members_as_it_says_and_all_of_them_are_whole() -> None:
    world = applied(MANIFEST)
    members = [record for record in world.state.resources.values() if record.address.group == AGENT]
    assert [record.address.key for record in members] == ["0", "1", "2"]
    assert all(map(is_whole, members))
    assert not is_whole(replace(members[0], setup={}))
    unarmed = {name: value for name, value in members[0].attributes.items() if name != "timeout"}
    assert not is_whole(replace(members[0], attributes=unarmed))


def test_what_was_taken_stays_and_another_one_is_made_in_its_place() -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    assert told(world.plan(MANIFEST)) == ["create agent[1]: taken from the pool"]
    settled(world, MANIFEST)
    assert address in world.state.resources
    assert sorted(told(world.plan(MANIFEST.replace("size: 3", "size: 0")))) == [
        f"delete agent[{key}]: no longer in the manifest" for key in "012"
    ]


def test_what_has_ended_since_is_a_place_to_be_filled_and_no_change_of_its_own() -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    world.presences[str(address)] = Observed(id="x", presence=Presence.EXPIRED)
    world.state = without_ended(world.state, world.observe())
    assert address not in world.state.resources
    assert told(world.plan(MANIFEST)) == ["create agent[1]: the pool is not full"]


def test_a_member_that_has_ended_is_not_forgotten_silently() -> None:
    world = applied(MANIFEST)
    world.presences['sandbox.agent["1"]'] = Observed(id="x", presence=Presence.GONE)
    assert without_ended(world.state, world.observe()) is world.state


@pytest.mark.parametrize(
    "manifest",
    ["sandboxes: {}", MANIFEST + "    when: false\n", MANIFEST.replace("pool: {size: 3, max_age: 1h}", "count: 3")],
)
def test_what_was_taken_goes_with_its_pool_and_the_plan_says_whose_it_is(manifest: str) -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    assert f"delete {address.short}: no longer in the manifest; taken by ada@desk" in told(world.plan(manifest))


def test_destroy_takes_what_was_taken_too() -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    plan = world.plan(MANIFEST, destroy=True)
    assert f"delete {address.short}: asked for by destroy; taken by ada@desk" in told(plan)
    world.apply(MANIFEST, destroy=True)
    assert not world.state.resources


def test_a_change_says_how_much_of_the_pool_it_replaces() -> None:
    world = applied(MANIFEST)
    take(world, "1")
    plan = world.plan(MANIFEST.replace("template: base", "template: base\n    metadata: {a: b}"))
    assert told(plan) == [
        "replace agent[0]: metadata changed; replaces 2 of 2 in the pool",
        "create agent[1]: taken from the pool",
        "replace agent[2]: metadata changed; replaces 2 of 2 in the pool",
    ]


def test_members_are_replaced_when_they_are_too_old_and_those_that_were_taken_are_not() -> None:
    world = applied(MANIFEST)
    take(world, "1")
    records = {a: replace(item, created_at=NOW.isoformat()) for a, item in world.state.resources.items()}
    world.state = replace(world.state, resources=records)
    world.now = NOW + timedelta(minutes=59)
    assert told(world.plan(MANIFEST)) == ["create agent[1]: taken from the pool"]
    world.now = NOW + timedelta(minutes=61)
    plan = world.plan(MANIFEST)
    assert [change.address.key for change in plan.changes if change.action is Action.REPLACE] == ["0", "2"]
    assert plan.changes[0].cause == "older than 1h (pool.max_age); replaces 2 of 2 in the pool"


def test_what_a_pool_sets_up_alike_is_kept_from_the_first_one_on() -> None:
    manifest = "sandboxes: {agent: {template: base, pool: 1, packages: [httpx]}}"
    world = World()
    plan = world.plan(manifest)
    assert told(plan) == [
        "create agent: once for this sandbox and those that are made in its place",
        "create agent[0]: not in state",
    ]
    settled(world, manifest)
    take(world, "0")
    assert "install" not in {operation.verb for operation in world.plan(manifest).operations}


def test_what_was_taken_can_not_drift() -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    world.presences[str(address)] = Observed(id="x", presence=Presence.PAUSED, facts={"template": "other"})
    request = world.request(MANIFEST)
    assert drift_of(world.state, world.observe(), graph=request.graph, kinds=request.kinds, now=NOW) == ()


def test_a_pool_of_a_renamed_block_keeps_what_was_taken() -> None:
    world = applied(MANIFEST)
    address = take(world, "1")
    sandbox_id = world.state.resources[address].id
    world.state = moved(world.state, {AGENT: Address("sandbox", "helper")})
    assert taken_address(Address("sandbox", "helper"), sandbox_id) in world.state.resources
    assert "create helper[1]: taken from the pool" in told(world.plan(MANIFEST.replace("agent:", "helper:")))


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("pool: 3\n    count: 3", "count and pool can't be used together"),
        ("pool: -1", "pool must be a whole number from 0 to 10000, not -1"),
        ("pool: ${{ vars.much }}", "pool must be a whole number from 0 to 10000"),
        ("pool: {size: true}", "pool.size must be a whole number"),
        ("pool: {size: 1, max_age: soon}", "pool.max_age must be a duration"),
    ],
)
def test_a_pool_that_makes_no_sense_is_an_error(written: str, said: str) -> None:
    inputs = inputs_of(f"sandboxes:\n  a:\n    {written}\n", variables={"much": "lots"})
    assert any(said in item.summary for item in build(inputs).diagnostics)


def test_a_member_has_to_get_too_old_before_it_ends() -> None:
    late = MANIFEST.replace("max_age: 1h", "max_age: 2h")
    plan = World().plan(late)
    assert [item.summary for item in plan.diagnostics] == ["pool.max_age has to be less than timeout"] * 3
    assert not World().plan(late.replace("timeout: 2h", "timeout: 2h\n    on_timeout: pause")).diagnostics
