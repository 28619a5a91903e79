"""Drift from what was seen: what differs, what is to be left alone, and what taking it in makes of the state."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import jsonschema
from hypothesis import given
from hypothesis import strategies as st

from nexus.graph import build
from nexus.kinds.registry import KINDS
from nexus.model.observation import Observation, Observed, Presence
from nexus.model.state import LOST
from nexus.planning import Drift, drift_of, format_saved, parse_saved, plan_to_json, refreshed
from tests.fakes.applier import NOW, World, actions, assert_order, causes, verbs
from tests.fakes.manifests import inputs_of
from tests.planning.test_properties import QUICK, converged, manifests
from tests.planning.test_properties import world as some_world

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_text())
MANIFEST = "sandboxes: {a: {template: x, timeout: 1h, run_commands: [c], uploads: [{path: /f, content: f}]%s}}"


def seen(world: World, text: str = "sandbox.a", presence: Presence = Presence.RUNNING, **facts: object) -> Observation:
    """The world as it is, but for what is said of one object."""
    record, observation = world.record(text), world.observe()
    found = Observed(id=record.id, presence=presence, expires_at=record.expires_at, facts=facts)
    return replace(observation, records={**observation.records, record.uid: found}, deep=True)


def drifts(world: World, manifest: str, observation: Observation) -> tuple[Drift, ...]:
    graph = build(inputs_of(manifest, variables=world.variables, secrets=list(world.secrets), files=world.files))
    return drift_of(world.state, observation, graph=graph, kinds=KINDS, now=world.now)


def lost(world: World, *units: str) -> dict[str, object]:
    setup = world.record("sandbox.a").setup
    return {
        "setup": {name: digest for name, digest in setup.items() if name not in units},
        "findings": {unit: [f"{unit} was changed"] for unit in units},
    }


def applied(rest: str = "") -> tuple[World, str]:
    world, manifest = World(), MANIFEST % rest
    world.apply(manifest)
    return world, manifest


def test_nothing_differs_after_an_apply() -> None:
    world, manifest = applied()
    assert drifts(world, manifest, replace(world.observe(), deep=True)) == ()


def test_what_was_lost_inside_is_planned_as_that_work_alone() -> None:
    world, manifest = applied()
    observation = seen(world, **lost(world, "uploads"))
    (drift,) = drifts(world, manifest, observation)
    assert (drift.cause, drift.detail, drift.ignored) == ("edited", "uploads was changed", False)
    plan = world.plan(manifest, observation)
    assert (verbs(plan), causes(plan)) == (
        ["upload uploads sandbox.a"],
        {"sandbox.a": "changed inside: uploads was changed"},
    )


def test_a_lost_command_takes_those_after_it_along() -> None:
    world = World()
    manifest = "sandboxes: {a: {template: x, run_commands: [c, d], startup_script: s}}"
    world.apply(manifest)
    plan = world.plan(manifest, seen(world, **lost(world, "run_commands[1]")))
    assert verbs(plan) == ["run-command run_commands[1] sandbox.a", "run-command startup_script sandbox.a"]


def test_what_is_to_be_ignored_is_told_and_not_planned() -> None:
    world, manifest = applied(", lifecycle: {ignore_changes: [uploads]}")
    observation = seen(world, **lost(world, "uploads"))
    assert [drift.ignored for drift in drifts(world, manifest, observation)] == [True]
    assert world.plan(manifest, observation).is_empty


def test_an_ignored_manager_is_left_alone_and_another_is_not() -> None:
    world = World()
    manifest = (
        "sandboxes: {a: {template: x, packages: {pip: [p], npm: [n]}, lifecycle: {ignore_changes: [packages.pip]}}}"
    )
    world.apply(manifest)
    observation = seen(world, **lost(world, "pip", "npm"))
    assert {(item.detail, item.ignored) for item in drifts(world, manifest, observation)} == {
        ("pip was changed", True),
        ("npm was changed", False),
    }
    assert verbs(world.plan(manifest, observation)) == ["install npm sandbox.a"]


def test_fields_that_were_changed_outside_are_changed_back_in_place() -> None:
    world, manifest = applied()
    network = {"internet": False, "allow": [], "deny": ["0.0.0.0/0"]}
    observation = seen(world, network=network)
    assert [item.cause for item in drifts(world, manifest, observation)] == ["changed"]
    plan = world.plan(manifest, observation)
    assert (verbs(plan), causes(plan)) == (
        ["set-network sandbox.a"],
        {"sandbox.a": "network changed outside nexus"},
    )


def test_a_life_cut_short_is_drift_for_a_deep_look_and_a_longer_one_never_is() -> None:
    world, manifest = applied()
    for seconds, expected in ((1800, ["extend sandbox.a"]), (3590, []), (7200, [])):
        observation = seen(world)
        record = world.record("sandbox.a")
        found = replace(observation.records[record.uid], expires_at=(NOW + timedelta(seconds=seconds)).isoformat())
        deep = replace(observation, records={**observation.records, record.uid: found})
        assert verbs(world.plan(manifest, deep)) == expected
        assert world.plan(manifest, replace(deep, deep=False)).is_empty


def test_paused_by_itself_is_no_drift_and_paused_by_somebody_is() -> None:
    world, manifest = applied(", on_timeout: pause")
    observation = seen(world, presence=Presence.PAUSED)
    assert [item.cause for item in drifts(world, manifest, observation)] == ["paused"]
    world.now = NOW + timedelta(hours=2)
    assert drifts(world, manifest, observation) == ()


def test_what_is_taken_in_is_no_drift_any_more_and_is_planned_against_the_manifest() -> None:
    world, manifest = applied()
    network = {"internet": False, "allow": [], "deny": ["0.0.0.0/0"]}
    observation = seen(world, network=network, **lost(world, "uploads"))
    plan = world.plan(manifest, observation, refresh_only=True)
    assert (actions(plan), [item.verb for item in plan.operations]) == ({"sandbox.a": "refresh"}, ["refresh"])
    world.state = refreshed(world.state, observation, {plan.operations[0].address})
    assert world.record("sandbox.a").setup["uploads"] == LOST
    assert drifts(world, manifest, observation) == ()
    assert verbs(world.plan(manifest)) == ["set-network sandbox.a", "upload uploads sandbox.a"]
    world.apply(manifest)
    converged(world, manifest)


def test_a_plan_that_only_takes_in_is_a_plan_like_any_other() -> None:
    world, manifest = applied()
    observation = seen(world, **lost(world, "uploads"))
    plan = world.plan(manifest, observation, refresh_only=True)
    jsonschema.validate(plan_to_json(plan), SCHEMA)
    assert parse_saved(format_saved(plan), "saved").plan == plan


def test_taking_in_forgets_what_is_gone_and_nothing_that_was_not_selected() -> None:
    world = World()
    manifest = "sandboxes: {a: {template: x}, b: {template: x}}"
    world.apply(manifest)
    for name in "ab":
        world.find_as(f"sandbox.{name}", Presence.GONE)
    plan = world.plan(manifest, refresh_only=True, targets=(world.record("sandbox.a").address,))
    assert actions(plan) == {"sandbox.a": "forget"}
    kept = refreshed(world.state, world.observe(), {operation.address for operation in plan.operations})
    assert [str(address) for address in kept.resources] == ["sandbox.b"]


@QUICK
@given(manifests(), st.data())
def test_whatever_was_lost_inside_one_apply_mends_it(manifest: str, data: st.DataObject) -> None:
    made = some_world()
    made.apply(manifest)
    observation = made.observe()
    records = dict(observation.records)
    for address, record in made.state.resources.items():
        if address.kind != "sandbox" or not record.setup:
            continue
        kept = data.draw(st.sets(st.sampled_from(sorted(record.setup))), label=str(address))
        facts = {"setup": {name: digest for name, digest in record.setup.items() if name in kept}}
        records[record.uid] = replace(records[record.uid], facts=facts)
    deep = replace(observation, records=records, deep=True)
    plan = made.apply(manifest, deep)
    assert_order(plan.operations)
    converged(made, manifest)


@QUICK
@given(manifests(), st.sampled_from(list(Presence)), st.integers(0, 20))
def test_after_taking_in_nothing_drifts_and_one_apply_converges(manifest: str, presence: Presence, which: int) -> None:
    made = some_world()
    made.apply(manifest)
    addresses = [address for address in made.state.resources if address.kind == "sandbox"]
    made.find_as(str(addresses[which % len(addresses)]), presence)
    observation = replace(made.observe(), deep=True)
    plan = made.plan(manifest, observation, refresh_only=True)
    assert plan == made.plan(manifest, observation, refresh_only=True)
    made.state = refreshed(made.state, observation, {operation.address for operation in plan.operations})
    assert made.plan(manifest, observation, refresh_only=True).is_empty
    made.presences = {}
    made.apply(manifest)
    converged(made, manifest)
