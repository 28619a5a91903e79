"""Saved plans read back as they were, validate against the published schema, and know when they are stale."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from jsonschema import Draft202012Validator

from nexus.model.addresses import Address
from nexus.model.changes import Plan
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.observation import Presence
from nexus.model.state import Target
from nexus.model.values import Sensitive
from nexus.planning import SavedPlan, difference, format_saved, parse_saved, plan_from_json, plan_to_json
from nexus.render import documents
from tests.fakes.applier import NOW, World
from tests.planning.test_properties import manifests, world

SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.schema.json").read_text())
VALIDATOR = Draft202012Validator(SCHEMA)

MANIFEST = """
volumes: {v: {}}
templates: {t: {packages: [one], tags: [v1]}}
sandboxes:
  a: {template: t, env_vars: {K: "${{ secrets.KEY }}", S: "${{ vars.stage }}"}, volumes: {/d: v}, ports: {api: 80}}
  b: {template: x, metadata: {a: "${{ sandbox.a.id }}"}}
pipelines: {p: {steps: {s: {sandbox: a, run: x}}}}
"""


def made() -> World:
    result = World()
    result.secrets = {"KEY": Sensitive("hunter2")}
    result.variables = {"stage": "dev"}
    return result


def same(plan: Plan, other: Plan) -> bool:
    """Equal but for where blocks end, which a saved plan does not keep."""

    def starts(one: Plan) -> Plan:
        changes = (
            replace(change, source=change.source and replace(change.source, end=change.source.start))
            for change in one.changes
        )
        return replace(one, changes=tuple(changes))

    return starts(plan) == starts(other)


def test_a_saved_plan_reads_back_as_it_was() -> None:
    plan = made().plan(MANIFEST, targets=(Address.parse("sandbox.b"),), refresh=False)
    read = parse_saved(format_saved(plan), "plan.json")
    assert same(read.plan, plan)
    assert read.options == plan.options
    assert difference(read, plan) == []


def test_no_secret_is_saved() -> None:
    assert "hunter2" not in format_saved(made().plan(MANIFEST))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifests(), manifests())
def test_all_plans_validate_and_survive_saving(before: str, after: str) -> None:
    one = world()
    one.apply(before)
    for plan in (one.plan(after), one.plan(after, destroy=True)):
        document = json.loads(format_saved(plan))
        VALIDATOR.validate(document)
        VALIDATOR.validate(json.loads(json.dumps(documents.plan_to_json(plan))))
        assert same(plan_from_json(document), plan)


def test_plans_with_diagnostics_validate() -> None:
    one = made()
    one.apply(MANIFEST)
    one.find_as("sandbox.a", Presence.UNKNOWN)
    plan = one.plan(MANIFEST)
    assert plan.diagnostics
    VALIDATOR.validate(json.loads(format_saved(plan)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[]", "not a plan"),
        ('{"format_version": 99, "operations": []}', "newer"),
        ('{"format_version": 1, "operations": []}', "written"),
    ],
)
def test_what_is_no_plan_is_refused(text: str, said: str) -> None:
    with pytest.raises(DiagnosticsError) as caught:
        parse_saved(text, "plan.json")
    (found,) = caught.value.diagnostics
    assert found.code == "plan-unreadable"
    assert said in found.detail + found.hint


def test_an_altered_plan_is_refused() -> None:
    document = json.loads(format_saved(made().plan(MANIFEST)))
    document["operations"][0]["verb"] = "delete"
    with pytest.raises(DiagnosticsError):
        parse_saved(json.dumps(document), "plan.json")


def test_a_document_of_another_shape_is_refused() -> None:
    document = plan_to_json(made().plan(MANIFEST))
    for name in ("target", "changes", "operations", "options", "lineage"):
        with pytest.raises(DiagnosticsError):
            plan_from_json({**document, name: 3})


def test_every_kind_of_difference_is_said() -> None:
    one = made()
    saved = SavedPlan(one.plan(MANIFEST))
    assert difference(saved, one.plan(MANIFEST)) == []
    one.variables = {"stage": "prod"}
    said = difference(saved, one.plan(MANIFEST))
    assert said == ["Variables have other values: stage.", "sandbox.a: env_vars would change in another way."]
    one.variables = {"stage": "dev"}
    one.secrets = {"KEY": Sensitive("hunter3")}
    assert difference(saved, one.plan(MANIFEST)) == ["sandbox.a: env_vars would change in another way."]
    one.secrets = {"KEY": Sensitive("hunter2")}
    assert difference(saved, one.plan(MANIFEST, destroy=True))[0] == "It was made with other options."
    more = MANIFEST.replace("{v: {}}", "{v: {}, w: {}}")
    assert difference(saved, one.plan(more)) == ["volume.w: create (not in state) is not in the saved plan."]
    fewer = MANIFEST.replace("pipelines", "x-pipelines")
    assert difference(saved, one.plan(fewer)) == [
        "step.p.s: run (not run yet) is in the saved plan and not needed any more."
    ]
    elsewhere = replace(saved.plan, target=Target("e2b", "team"), lineage="other")
    assert len(difference(SavedPlan(elsewhere), one.plan(MANIFEST))) == 2


def test_a_plan_that_was_applied_is_stale() -> None:
    one = made()
    saved = SavedPlan(one.plan(MANIFEST))
    one.apply(MANIFEST)
    one.state = replace(one.state, serial=1)
    said = difference(saved, one.plan(MANIFEST))
    assert said[0] == "The state was written since: its serial was 0 and is 1."
    assert len(said) == 1 + len(saved.plan.changes)


def test_time_alone_makes_no_plan_stale() -> None:
    manifest = "sandboxes: {a: {template: x, timeout: 1h}}"
    one = World()
    one.apply(manifest)
    after = manifest + "\npipelines: {p: {steps: {s: {sandbox: a, run: x}}}}"
    saved = SavedPlan(one.plan(after))
    one.now = NOW + timedelta(minutes=58)
    fresh = one.plan(after)
    assert len(fresh.changes) == 2
    assert difference(saved, fresh) == []
