"""What a selection brings along, and what is told of flags and values."""

from __future__ import annotations

from dataclasses import replace

from nexus.model.addresses import Address
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import Intent
from nexus.model.values import UNKNOWN
from tests.fakes.applier import World, actions, causes, verbs
from tests.planning.worlds import applied

CHAIN = """
sandboxes:
  a: {template: x, metadata: {v: one}}
  b: {template: x, metadata: {v: one, a: "${{ sandbox.a.id }}"}}
  c: {template: x, metadata: {v: one, b: "${{ sandbox.b.id }}"}}
"""


def addresses(*texts: str) -> tuple[Address, ...]:
    return tuple(map(Address.parse, texts))


def test_a_target_brings_what_it_needs() -> None:
    world = World()
    assert actions(world.plan(CHAIN, targets=addresses("sandbox.b"))) == {"sandbox.a": "create", "sandbox.b": "create"}


def test_an_exclusion_takes_what_needs_it_along() -> None:
    world = World()
    assert actions(world.plan(CHAIN, excludes=addresses("sandbox.b"))) == {"sandbox.a": "create"}


def test_destroying_a_target_takes_what_needs_it_along() -> None:
    world = applied(CHAIN)
    plan = world.plan(CHAIN, destroy=True, targets=addresses("sandbox.b"))
    assert verbs(plan) == ["delete sandbox.c", "delete sandbox.b"]
    plan = world.plan(CHAIN, destroy=True, excludes=addresses("sandbox.b"))
    assert verbs(plan) == ["delete sandbox.c"]


def test_targets_keep_other_records_that_are_not_wanted_any_more() -> None:
    world = applied("sandboxes: {a: {template: x}, b: {template: x}}")
    assert world.plan("sandboxes: {a: {template: x}}", targets=addresses("sandbox.a")).is_empty
    assert actions(world.plan("sandboxes: {a: {template: x}}", targets=addresses("sandbox.b"))) == {
        "sandbox.b": "delete"
    }


def test_a_block_names_all_its_instances() -> None:
    world = applied("sandboxes: {w: {count: 2, template: x}, b: {template: x}}")
    plan = world.plan("sandboxes: {w: {count: 2, template: x}, b: {template: x}}", replace=addresses("sandbox.w"))
    assert set(actions(plan)) == {'sandbox.w["0"]', 'sandbox.w["1"]'}
    assert set(causes(plan).values()) == {"asked for by --replace"}


def test_flags_that_name_nothing_are_errors() -> None:
    world = applied(CHAIN)
    for option in ("targets", "excludes", "replace", "run"):
        plan = world.plan(CHAIN, **{option: addresses("sandbox.bb")})
        assert [item.code for item in plan.diagnostics] == ["unknown-address"], option
        assert "sandbox.b" in plan.diagnostics[0].hint


# ---- values


def test_what_is_known_only_after_apply_is_unknown_in_the_plan() -> None:
    world = World()
    plan = world.plan(CHAIN)
    change = next(change for change in plan.changes if change.address.name == "b")
    diff = next(diff for diff in change.fields if diff.path == "metadata")
    assert diff.unknown
    assert diff.after == {"v": "one", "a": UNKNOWN}


def test_renumbered_instances_change_nothing_else() -> None:
    world = applied("sandboxes: {w: {for_each: [x, y], template: t}}")
    plan = world.plan("sandboxes: {w: {for_each: [y, z], template: t}}")
    assert actions(plan) == {'sandbox.w["z"]': "create", 'sandbox.w["x"]': "delete"}


def test_errors_of_values_keep_their_place_and_spare_the_rest() -> None:
    world = World()
    world.variables = {"t": "soon"}
    plan = world.plan('sandboxes: {a: {template: x, timeout: "${{ vars.t }}"}, b: {template: x}}')
    (found,) = plan.diagnostics
    assert found.address == "sandbox.a"
    assert found.range is not None
    assert actions(plan) == {"sandbox.b": "create"}


def test_an_open_create_intent_does_not_change_the_plan() -> None:
    world = World()
    expected = world.plan(CHAIN).describe()
    pending = Intent(key="k", address=Address.parse("sandbox.a"), verb="create")
    world.state = replace(world.state, pending=(pending,))
    assert world.plan(CHAIN).describe() == expected


def test_the_observation_is_by_uid_so_a_leftover_is_not_mistaken_for_its_successor() -> None:
    world = applied("sandboxes: {a: {template: x}}")
    record = world.record("sandbox.a")
    other = Observation(records={record.uid: Observed(id=record.id, presence=Presence.RUNNING)})
    assert world.plan("sandboxes: {a: {template: x}}", other).is_empty
