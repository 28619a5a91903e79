"""When steps run, and why."""

from __future__ import annotations

from dataclasses import replace

from nexus.model.addresses import Address
from nexus.model.observation import Presence
from tests.fakes.applier import World, actions, causes, verbs
from tests.planning.worlds import applied, changed, settled

PIPE = """
sandboxes: {a: {template: x}}
pipelines:
  p:
    steps:
      one: {sandbox: a, run: first, outputs: {o: /o}}
      two: {sandbox: a, run: second, inputs: {/i: "${{ step.p.one.outputs.o }}"}}
"""


def test_steps_run_when_their_code_changes_and_so_do_those_downstream() -> None:
    world = applied(PIPE)
    plan = world.plan(changed("first", "first anew", PIPE))
    assert actions(plan) == {"step.p.one": "run", "step.p.two": "run"}
    assert causes(plan) == {"step.p.one": "code changed", "step.p.two": "upstream runs"}
    assert actions(world.plan(changed("second", "second anew", PIPE))) == {"step.p.two": "run"}


def test_steps_run_again_in_a_new_sandbox_but_not_in_an_updated_one() -> None:
    world = applied(PIPE)
    assert actions(world.plan(changed("template: x", "template: x, env_vars: {A: b}", PIPE))) == {"sandbox.a": "update"}
    world.find_as("sandbox.a", Presence.GONE)
    plan = world.plan(PIPE)
    assert causes(plan)["step.p.one"] == "sandbox.a is made anew"
    assert verbs(plan)[-2:] == ["run-step step.p.one", "run-step step.p.two"]


def test_steps_that_run_always_or_only_when_asked() -> None:
    manifest = """
sandboxes: {a: {template: x}}
pipelines: {p: {steps: {always: {sandbox: a, run: x, "on": always}, manual: {sandbox: a, run: y, "on": manual}}}}
"""
    world = World()
    assert "step.p.manual" not in actions(world.apply(manifest))
    assert causes(world.plan(manifest)) == {"step.p.always": "on: always"}
    asked = world.apply(manifest, run=(Address.parse("step.p.manual"),))
    assert "step.p.manual" in actions(asked)
    assert "step.p.manual" not in actions(world.plan(manifest))
    again = world.plan(manifest, replace=(Address.parse("step.p.manual"),))
    assert [op.force for op in again.operations if op.address.name == "p.manual"] == [True]


def test_what_takes_outputs_of_a_manual_step_waits_for_it() -> None:
    manifest = changed("run: first", 'run: first, "on": manual', PIPE)
    world = World()
    plan = world.plan(manifest)
    assert "step.p.two" not in actions(plan)
    assert [item.code for item in plan.diagnostics] == ["waits-for-manual-step"]
    world.apply(manifest, run=(Address.parse("step.p.one"),))
    assert world.plan(manifest).is_empty


def test_a_sandbox_can_not_take_outputs_of_a_step_that_has_not_run() -> None:
    manifest = changed("run: first", 'run: first, "on": manual', PIPE)
    other = 'b: {template: x, env_vars: {E: "${{ step.p.one.exit_code }}"}}'
    taking = manifest.replace("{a: {template: x}}", f"{{a: {{template: x}}, {other}}}")
    world = applied(manifest)
    plan = world.plan(taking)
    assert ("error", "sandbox.b") in {(item.severity.value, item.address) for item in plan.diagnostics}


def test_other_fields_of_a_step_are_only_remembered() -> None:
    world = applied(PIPE)
    after = changed("run: first", "run: first, timeout: 1m, retries: 2", PIPE)
    assert verbs(world.plan(after)) == ["record step.p.one"]
    settled(world, after)


def test_a_step_that_is_taken_out_is_only_forgotten() -> None:
    world = applied(PIPE)
    plan = world.plan("sandboxes: {a: {template: x}}")
    assert actions(plan) == {"step.p.one": "forget", "step.p.two": "forget"}
    assert verbs(plan) == ["forget step.p.two", "forget step.p.one"]


def test_a_step_that_failed_runs_again() -> None:
    world = applied(PIPE)
    record = world.record("step.p.two")
    world.state = world.state.with_records([replace(record, setup={})])
    assert causes(world.plan(PIPE)) == {"step.p.two": "the last run failed"}


def test_a_step_with_a_sandbox_of_its_own_runs_again_only_for_what_it_is_made_of() -> None:
    world = World()
    manifest = """
pipelines:
  p:
    steps:
      s: {matrix: {n: [1, 2]}, sandbox: {template: python, env_vars: {N: "${{ each.value.n }}"}}, run: first}
      t: {sandbox: {template: base}, needs: [s], run: last}
"""
    plan = world.apply(manifest)
    runs = ['step.p.s["1"]', 'step.p.s["2"]', "step.p.t"]
    assert sorted(verbs(plan)) == [
        "create catalogue.base",
        "create catalogue.python",
        *(f"run-step {item}" for item in runs),
    ]
    settled(world, manifest)
    assert sorted(actions(world.plan(changed("first", "other", manifest)))) == runs[:2]
    assert sorted(actions(world.plan(changed("base", "node", manifest)))) == ["catalogue.node", "step.p.t"]
