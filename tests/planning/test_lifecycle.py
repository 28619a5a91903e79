"""``lifecycle`` and ``timeouts`` in plans: parts of fields, conditions, what destroying leaves, limits of time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from nexus.kinds.field_paths import covers, parse_path, with_part
from nexus.kinds.reading import InvalidValue
from nexus.model.addresses import Address
from nexus.model.resources import OnDestroy, Stage
from nexus.model.values import Fingerprint, Sensitive
from nexus.planning import make_plan
from tests.fakes.applier import World, actions, causes, verbs

BOX = Address.parse("sandbox.a")


def a(fields: str, rest: str = "") -> str:
    return f"sandboxes: {{a: {{template: x, {fields}}}{rest}}}"


# ---- paths


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("metadata", ("metadata",)),
        ("metadata.team", ("metadata", "team")),
        ('env_vars["A.B"]', ("env_vars", "A.B")),
        ("packages.pip", ("packages", "pip")),
        ("run_commands[0]", ("run_commands", "0")),
    ],
)
def test_paths_are_read_in_both_spellings(text: str, path: tuple[str, ...]) -> None:
    assert parse_path(text) == path


@pytest.mark.parametrize("text", ["", ".a", "a.", "a[b]", 'a["b', "a b["])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidValue):
        parse_path(text)


def test_a_path_covers_its_parts_and_the_empty_one_covers_all() -> None:
    assert covers([("a",)], ("a", "b"))
    assert not covers([("a", "b")], ("a",))
    assert covers([()], ("anything",))


def test_a_part_is_taken_from_before_with_its_absence() -> None:
    assert with_part({"x": 1, "y": 2}, ("x",), {"x": 0}) == {"x": 0, "y": 2}
    assert with_part({"x": 1, "y": 2}, ("y",), {"x": 0}) == {"x": 1}
    assert with_part({}, ("x",), {"x": 0}) == {"x": 0}
    assert with_part({"x": {"a": 1, "b": 1}}, ("x", "a"), {"x": {"a": 0}}) == {"x": {"a": 0, "b": 1}}


# ---- ignore_changes


def test_what_is_ignored_keeps_what_was_applied_also_in_what_is_sent() -> None:
    world = World()
    lifecycle = "lifecycle: {ignore_changes: [env_vars.A]}"
    world.apply(a(f"env_vars: {{A: one, B: one}}, {lifecycle}"))
    manifest = a(f"env_vars: {{A: two, B: two}}, {lifecycle}")
    planned = make_plan(world.request(manifest))
    evaluated = planned.evaluation.at_apply(BOX, world.state.resources.get)
    assert evaluated.revealed["env_vars"] == {"A": "one", "B": "two"}
    world.perform(planned, planned.plan.operations)
    assert world.plan(manifest).is_empty


def test_a_secret_that_is_ignored_goes_along_when_its_field_is_sent() -> None:
    world = World(secrets={"KEY": Sensitive("first")})
    manifest = a('env_vars: {A: "${{ secrets.KEY }}", B: %s}, lifecycle: {ignore_changes: [env_vars.A]}')
    world.apply(manifest % "one")
    world.secrets = {"KEY": Sensitive("second")}
    assert world.plan(manifest % "one").is_empty
    planned = make_plan(world.request(manifest % "two"))
    evaluated = planned.evaluation.at_apply(BOX, world.state.resources.get)
    assert evaluated.revealed["env_vars"] == {"A": "second", "B": "two"}
    kept = evaluated.concealed["env_vars"]
    assert isinstance(kept, dict)
    assert isinstance(kept["A"], Fingerprint)


def test_a_replacement_takes_what_was_ignored_as_it_is_written() -> None:
    world = World()
    lifecycle = "lifecycle: {ignore_changes: [env_vars]}"
    world.apply(a(f"env_vars: {{A: one}}, metadata: {{v: one}}, {lifecycle}"))
    world.apply(a(f"env_vars: {{A: two}}, metadata: {{v: two}}, {lifecycle}"))
    assert world.record("sandbox.a").attributes["env_vars"] == {"A": "two"}


# ---- conditions


FAILS = 'lifecycle: {%s: [{condition: "${{ %s }}", error_message: "no: ${{ vars.size }}"}]}'


def codes(world: World, manifest: str) -> list[str]:
    return [f"{item.code}: {item.summary}" for item in world.plan(manifest).diagnostics]


def test_a_precondition_is_looked_at_whether_or_not_something_changes() -> None:
    world = World(variables={"size": 1})
    manifest = a(FAILS % ("precondition", "vars.size > 0"))
    world.apply(manifest)
    assert world.plan(manifest).is_empty
    world.variables = {"size": 0}
    (diagnostic,) = world.plan(manifest).diagnostics
    assert (diagnostic.code, diagnostic.summary, diagnostic.address) == (
        "precondition-failed",
        "no: 0",
        "sandbox.a",
    )
    assert diagnostic.range is not None


def test_a_postcondition_waits_for_work_and_is_looked_at_without_any() -> None:
    world = World(variables={"size": 1})
    low, high = (
        a(f"timeout: {timeout}, {FAILS % ('postcondition', 'self.timeout >= 600')}") for timeout in ("10s", "10m")
    )
    plan = world.apply(low)
    assert verbs(plan)[-1] == "check postcondition sandbox.a"
    assert codes(world, low) == ["postcondition-failed: no: 1"]
    mended = world.plan(high)
    assert (list(mended.diagnostics), verbs(mended)) == ([], ["extend sandbox.a", "check postcondition sandbox.a"])


def test_what_depends_on_it_waits_for_its_postcondition() -> None:
    world = World(variables={"size": 1})
    plan = world.plan(a(FAILS % ("postcondition", "self.id != ''"), ", b: {template: x, depends_on: [sandbox.a]}"))
    check = next(item for item in plan.operations if item.unit == Stage.POSTCONDITION)
    create = next(item for item in plan.operations if str(item.address) == "sandbox.b")
    assert check.id in create.needs


def test_a_condition_makes_edges_and_self_means_nothing_elsewhere() -> None:
    world = World(variables={"size": 1})
    plan = world.plan(a(FAILS % ("precondition", "sandbox.b.id != ''"), ", b: {template: x}"))
    assert [str(item.address) for item in plan.operations if item.verb == "create"] == ["sandbox.b", "sandbox.a"]
    assert verbs(plan)[2] == "check precondition sandbox.a"
    with pytest.raises(AssertionError, match="self-without-object"):
        world.plan(a('metadata: {x: "${{ self.id }}"}'))


def test_a_condition_that_is_no_answer_and_a_message_that_is_secret() -> None:
    world = World(variables={"size": 1}, secrets={"KEY": Sensitive("hidden-value")})
    assert codes(world, a(FAILS % ("precondition", "vars.size"))) == [
        "wrong-type: The condition of a precondition must be true or false"
    ]
    secret = a('lifecycle: {precondition: [{condition: false, error_message: "it is ${{ secrets.KEY }}"}]}')
    (said,) = codes(world, secret)
    assert "hidden-value" not in said


# ---- create_before_destroy


def test_what_is_made_first_takes_along_what_it_needs_through_what_stays() -> None:
    manifest = """
sandboxes:
  c: {template: x, metadata: {v: %s}}
  b: {template: x, depends_on: [sandbox.c]}
  a: {template: x, metadata: {v: %s}, depends_on: [sandbox.b], lifecycle: {create_before_destroy: true}}
"""
    world = World()
    world.apply(manifest % ("one", "one"))
    plan = world.plan(manifest % ("two", "two"))
    assert actions(plan) == {"sandbox.c": "replace", "sandbox.a": "replace"}
    order = [item for item in verbs(plan) if item.partition(" ")[0] in ("create", "delete")]
    assert order[:2] == ["create sandbox.c", "create sandbox.a"]
    assert sorted(order[2:]) == ["delete sandbox.a", "delete sandbox.c"]
    world.apply(manifest % ("two", "two"))
    assert (world.plan(manifest % ("two", "two")).is_empty, world.state.deposed) == (True, ())


def test_what_others_ask_of_a_sandbox_with_ignored_changes_is_as_it_was_applied() -> None:
    world = World()
    world.apply(a("ports: {api: 81}"))
    user = ', b: {template: x, env_vars: {URL: "${{ sandbox.a.urls.api }}"}}'
    world.apply(a("ports: {api: 80}, lifecycle: {ignore_changes: all}", user))
    urls = world.record("sandbox.a").outputs["urls"]
    assert isinstance(urls, dict)
    assert world.record("sandbox.b").attributes["env_vars"] == {"URL": urls["api"]}


# ---- on_destroy, timeouts


def test_what_becomes_of_it_is_remembered_once_its_block_is_gone() -> None:
    world = World()
    world.apply(a("lifecycle: {on_destroy: snapshot}"))
    assert world.record("sandbox.a").on_destroy is OnDestroy.SNAPSHOT
    plan = world.plan("sandboxes: {}")
    assert (verbs(plan), actions(plan)) == (["delete snapshot sandbox.a"], {"sandbox.a": "delete"})
    assert "a snapshot of it stays" in causes(plan)["sandbox.a"]
    assert verbs(world.plan(a("lifecycle: {on_destroy: pause}, metadata: {v: new}")))[0] == "delete pause sandbox.a"
    assert actions(world.plan(a("lifecycle: {on_destroy: pause}"), destroy=True)) == {"sandbox.a": "release"}


def test_what_is_gone_already_is_only_forgotten_whatever_was_to_become_of_it() -> None:
    from nexus.model.observation import Presence

    world = World()
    world.apply(a("lifecycle: {on_destroy: pause}"))
    world.find_as("sandbox.a", Presence.GONE)
    assert verbs(world.plan("sandboxes: {}")) == ["forget sandbox.a"]


def test_protection_holds_once_its_block_is_gone() -> None:
    world = World()
    world.apply(a("lifecycle: {prevent_destroy: true}"))
    assert codes(world, "sandboxes: {}") == ["prevent-destroy: sandbox.a is protected and can't be deleted"]


def test_operations_are_bounded_by_their_class() -> None:
    world = World()
    plan = world.apply(
        a("timeouts: {create: 5m, setup: 20m}, run_commands: [c], start_command: s, ready: {port: 80}", ", b: {}")
    )
    limits = {str(item).partition(" ")[2]: item.limit for item in plan.operations if item.address == BOX}
    assert limits == {
        "create sandbox.a": 300,
        "arm sandbox.a": 300,
        "run-command run_commands[0] sandbox.a": 1200,
        "start start sandbox.a": 1200,
        "await-ready ready sandbox.a": None,
    }
    assert {item.limit for item in plan.operations if item.address != BOX} == {None}
    assert world.plan(
        a("timeouts: {create: 9m}, run_commands: [c], start_command: s, ready: {port: 80}", ", b: {}")
    ).is_empty


def test_alerts_are_never_planned() -> None:
    world = World()
    world.apply(a("alerts: {cpu: 90}"))
    assert world.plan(a("alerts: {cpu: 50, disk: 10}")).is_empty
    assert "alerts" not in world.record("sandbox.a").attributes


def test_an_unknown_key_of_a_record_is_no_reason_to_change_anything() -> None:
    world = World()
    world.apply(a("timeout: 1h"))
    record = world.record("sandbox.a")
    world.state = replace(world.state, resources={BOX: replace(record, setup={**record.setup, "receipt": "x"})})
    assert world.plan(a("timeout: 1h")).is_empty
