"""When sandboxes are made from a shared setup, and what becomes of it afterwards."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.model.changes import Plan, Verb
from nexus.model.observation import Observed, Presence
from nexus.model.values import Sensitive
from nexus.planning import moved
from tests.fakes.applier import World, assert_order


def manifest(count: int, fields: str = "packages: {pip: [six]}, run_commands: [make]") -> str:
    return f"sandboxes: {{w: {{count: {count}, {fields}}}}}"


def verbs(plan: Plan, address: str) -> list[str]:
    return [f"{item.verb} {item.unit}".strip() for item in plan.operations if str(item.address) == address]


def test_three_new_instances_are_made_from_one_setup() -> None:
    world = World()
    plan = world.apply(manifest(3))
    assert_order(plan.operations)
    assert verbs(plan, "setup.w") == ["create"]
    assert verbs(plan, 'sandbox.w["1"]') == ["create setup.w", "arm"]
    (change,) = [change for change in plan.changes if str(change.address) == "setup.w"]
    assert change.cause.startswith("once for 3 sandboxes; saves about 24s")
    assert world.plan(manifest(3)).is_empty


def test_two_new_instances_are_set_up_one_by_one_unless_asked_for() -> None:
    assert verbs(World().apply(manifest(2)), "setup.w") == []
    asked = World().apply(manifest(2, "packages: {pip: [six]}, setup: shared"))
    assert verbs(asked, 'sandbox.w["1"]') == ["create setup.w", "arm"]


def test_what_is_not_shared_is_done_in_each() -> None:
    plan = World().apply(manifest(3, "packages: {pip: [six]}, startup_script: serve, start_command: sleep"))
    assert verbs(plan, 'sandbox.w["0"]') == ["create setup.w", "arm", "run-command startup_script", "start start"]


def test_a_setup_that_exists_serves_even_one_more_instance() -> None:
    world = World()
    world.apply(manifest(3))
    plan = world.apply(manifest(4))
    assert verbs(plan, "setup.w") == []
    assert verbs(plan, 'sandbox.w["3"]') == ["create setup.w", "arm"]


def test_a_changed_setup_is_done_in_place_and_made_anew_only_for_new_instances() -> None:
    world = World()
    world.apply(manifest(3))
    more = "packages: {pip: [six, idna]}, run_commands: [make]"
    plan = world.apply(manifest(4, more))
    assert verbs(plan, "setup.w") == []
    assert verbs(plan, 'sandbox.w["0"]') == ["install pip"]
    assert verbs(plan, 'sandbox.w["3"]') == ["create", "arm", "install pip", "run-command run_commands[0]"]
    plan = world.apply(manifest(7, more))
    assert_order(plan.operations)
    assert verbs(plan, "setup.w") == ["build"]
    assert verbs(plan, 'sandbox.w["6"]') == ["create setup.w", "arm"]
    assert world.plan(manifest(7, more)).is_empty


def test_a_setup_goes_after_the_last_sandbox_that_may_have_been_made_from_it() -> None:
    world = World()
    world.apply(manifest(3))
    plan = world.apply(manifest(3, "packages: {pip: [six]}, run_commands: [make], setup: each"))
    assert not [item for item in plan.operations if item.verb is Verb.DELETE]
    plan = world.apply("sandboxes: {}")
    assert_order(plan.operations)
    assert [str(item.address) for item in plan.operations if item.verb is Verb.DELETE][-1] == "setup.w"
    assert world.state.is_empty


def test_destroy_takes_the_setup_along() -> None:
    world = World()
    world.apply(manifest(3))
    plan = world.apply(manifest(3), destroy=True)
    assert str(plan.operations[-1].address) == "setup.w"
    assert world.state.is_empty


def test_a_setup_that_somebody_deleted_is_made_again_when_it_is_needed() -> None:
    world = World()
    world.apply(manifest(3))
    record = next(record for address, record in world.state.resources.items() if address.kind == "setup")
    world.presences["setup.w"] = Observed(id=record.id, presence=Presence.GONE)
    assert world.plan(manifest(3)).is_empty
    assert verbs(world.plan(manifest(6)), "setup.w") == ["forget", "create"]


def test_secrets_stay_out_of_what_is_shared() -> None:
    world = World(secrets={"KEY": Sensitive("geheim")})
    plan = world.apply(manifest(3, 'packages: {pip: [six]}, env_vars: {K: "${{ secrets.KEY }}"}, run_commands: [make]'))
    assert verbs(plan, 'sandbox.w["0"]') == ["create setup.w", "arm", "run-command run_commands[0]"]
    setup = next(record for address, record in world.state.resources.items() if address.kind == "setup")
    assert setup.attributes["env_vars"] == {}
    steering = manifest(3, 'packages: {pip: [six]}, env_vars: {PIP_INDEX_URL: "${{ secrets.KEY }}"}')
    assert verbs(World(secrets={"KEY": Sensitive("geheim")}).apply(steering), "setup.w") == []


def test_a_shared_setup_goes_where_its_block_goes() -> None:
    world = World()
    world.apply(manifest(3))
    moves = {Address("sandbox", "w"): Address("sandbox", "v")}
    world.state = moved(world.state, moves)
    assert world.record("setup.v").attributes["name"] == "nexus-setup--demo--default--w", "E2B knows it by that"
    renamed = manifest(3).replace("w:", "v:")
    assert not any(item.verb is Verb.DELETE for item in world.apply(renamed).operations)
    assert world.plan(renamed).is_empty
    world.apply(renamed, destroy=True)
    assert world.state.is_empty
