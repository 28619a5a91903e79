"""When sandboxes are made from a shared setup, and what becomes of it afterwards."""

from __future__ import annotations

import random
from contextlib import suppress

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from nexus.kinds.shared_setup import setup_name, setup_of_name
from nexus.model.addresses import Address
from nexus.model.changes import Plan, Verb
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.values import Sensitive
from nexus.planning import make_plan, moved
from tests.fakes.applier import World, actions, assert_order
from tests.planning.test_properties import some_prefix


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


def rename(world: World, **moves: str) -> None:
    world.state = moved(world.state, {Address.parse(old): Address.parse(new) for old, new in moves.items()})


def test_a_shared_setup_stays_under_its_own_name_until_nothing_stands_on_it() -> None:
    world = World()
    world.apply(manifest(3))
    rename(world, **{"sandbox.w": "sandbox.v"})
    renamed = manifest(3).replace("w:", "v:")
    assert world.plan(renamed).is_empty
    assert world.snapshots == {"nexus-setup--demo--default--w"}
    assert world.plan(renamed).is_empty
    changed = renamed.replace("six", "idna").replace("count: 3", "count: 6")
    assert verbs(world.apply(changed), "setup.v") == ["create"]
    assert len(world.snapshots) == 2
    assert world.plan(changed).is_empty
    plan = world.apply(changed.replace("run_commands", "metadata: {a: b}, run_commands"))
    assert [str(item.address) for item in plan.operations if item.verb is Verb.DELETE][-1] == "setup.w"
    assert world.snapshots == {"nexus-setup--demo--default--v"}
    world.apply(changed, destroy=True)
    assert (world.state.is_empty, world.snapshots) == (True, set())


def test_a_setup_whose_instances_moved_away_one_by_one_is_kept_for_them() -> None:
    world = World()
    world.apply(manifest(3))
    rename(world, **{f'sandbox.w["{key}"]': f'sandbox.v["{key}"]' for key in range(3)})
    renamed = manifest(3).replace("w:", "v:")
    assert world.plan(renamed).is_empty
    world.find_as('sandbox.v["0"]', Presence.EXPIRED)
    world.apply(renamed)
    assert world.snapshots == {"nexus-setup--demo--default--w"}
    world.apply("sandboxes: {}")
    assert (world.state.is_empty, world.snapshots) == (True, set())


def test_where_nobody_looked_a_setup_is_kept_for_whoever_may_stand_on_it() -> None:
    world = World()
    world.apply(manifest(3))
    rename(world, **{f'sandbox.w["{key}"]': f'sandbox.v["{key}"]' for key in range(3)})
    unseen = Observation(complete=False)
    world.apply(manifest(3).replace("w:", "v:"), unseen)
    assert world.snapshots == {"nexus-setup--demo--default--w"}


def test_what_a_sandbox_stands_on_that_is_left_alone_is_left_with_it() -> None:
    world = World()
    mounted = 'one: {template: "${{ template.t }}", volumes: {/d: "${{ volume.v }}"}}'
    blocks = manifest(3).replace("{w:", "{" + mounted + ", w:")
    world.apply("volumes: {v: {}, other: {}}\ntemplates: {t: {packages: [x]}}\n" + blocks)
    left = "removed: [{from: sandbox.one, lifecycle: {destroy: false}}, {from: sandbox.w, lifecycle: {destroy: false}}"
    plan = world.plan(left + "]")
    kept = ["volume.v", "template.t", "setup.w", "sandbox.one", *(f'sandbox.w["{key}"]' for key in range(3))]
    assert actions(plan) == {"volume.other": "delete", **dict.fromkeys(kept, "forget")}
    assert not next(change for change in plan.changes if str(change.address) == "volume.v").data_loss
    assert actions(world.plan(left + ", {from: volume.v}]"))["volume.v"] == "delete"
    assert actions(world.plan("removed: [{from: sandbox.w, lifecycle: {destroy: false}}]"))["volume.v"] == "delete"
    world.apply(left + "]")
    assert world.state.is_empty


BLOCKS = st.fixed_dictionaries(
    {
        "count": st.integers(0, 4),
        "run_commands": st.sampled_from([["one"], ["two"], []]),
        "metadata": st.sampled_from([{}, {"m": "x"}]),
        "lifecycle": st.builds(lambda first: {"create_before_destroy": first}, st.booleans()),
        "setup": st.sampled_from(["shared", "each"]),
    },
)
MOVES = st.sampled_from(
    [
        {},
        {"sandbox.w": "sandbox.v"},
        {"sandbox.v": "sandbox.w"},
        {"sandbox.w": "sandbox.v", "sandbox.v": "sandbox.w"},
        {'sandbox.w["0"]': 'sandbox.v["3"]'},
        {'sandbox.v["1"]': 'sandbox.w["3"]', 'sandbox.w["0"]': 'sandbox.v["0"]'},
    ]
)
STEPS = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from(["w", "v"]), BLOCKS),
        MOVES,
        st.sampled_from([None, Presence.GONE, Presence.EXPIRED]),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(STEPS, st.randoms(use_true_random=False))
def test_no_snapshot_is_left_behind_and_none_is_deleted_that_something_stands_on(
    steps: list[tuple[dict[str, object], dict[str, str], Presence | None]], chance: random.Random
) -> None:
    world = World()
    for blocks, moves, presence in steps:
        with suppress(DiagnosticsError):  # two can't become one
            rename(world, **moves)
        boxes = [address for address in world.state.resources if address.kind == "sandbox"]
        if presence is not None and boxes:
            world.find_as(str(chance.choice(boxes)), presence)
        text = yaml.safe_dump({"sandboxes": blocks})
        planned = make_plan(world.request(text))
        world.perform(planned, some_prefix(planned.plan.operations, chance))
        assert world.snapshots == remembered(world)
        world.apply(text)
        assert world.snapshots == remembered(world)
        assert world.plan(text).is_empty, world.plan(text).describe()
    world.apply("sandboxes: {}", destroy=True)
    assert (world.state.is_empty, world.snapshots) == (True, set())


def remembered(world: World) -> set[str]:
    records = world.state.resources.values()
    return {str(record.attributes["name"]) for record in records if record.address.kind == "setup"}


def test_names_of_snapshots_tell_blocks_and_projects_apart() -> None:
    web, shouting = Address("setup", "web"), Address("setup", "Web")
    names = [setup_name("p", "default", address) for address in (web, shouting)]
    assert names[0] == "nexus-setup--p--default--web"
    assert names[1] != names[0]
    assert names[1] == names[1].lower()
    assert setup_of_name("p", "default", names[0]) == web
    assert setup_of_name("p", "default", names[1]) is not None
    for foreign in ("nexus-setup--p--prod--web", "nexus-setup--p--default--more--web", "p--default--web", "else"):
        assert setup_of_name("p", "default", foreign) is None


def test_blocks_that_differ_only_in_case_share_no_snapshot() -> None:
    world = World()
    text = "sandboxes: {w: {count: 3, run_commands: [one]}, W: {count: 3, run_commands: [two]}}"
    world.apply(text)
    assert len(world.snapshots) == 2
    world.apply("sandboxes: {w: {count: 3, run_commands: [one]}}")
    assert world.snapshots == {"nexus-setup--demo--default--w"}


def test_a_setup_that_needs_another_sandbox_goes_before_it() -> None:
    text = """
sandboxes:
  a: {}
  w: {count: 3, run_commands: [make], depends_on: [sandbox.a]}
"""
    world = World()
    world.apply(text)
    plan = world.apply(text, destroy=True)
    gone = [str(item.address) for item in plan.operations]
    assert gone.index('sandbox.w["2"]') < gone.index("setup.w") < gone.index("sandbox.a")
    assert world.state.is_empty
