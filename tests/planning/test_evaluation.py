"""Values at the time of the apply: what was unknown is filled in, what was approved is not altered."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from nexus.model.addresses import Address
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.observation import Observed, Presence
from nexus.model.state import ResourceRecord
from nexus.model.values import Sensitive
from nexus.planning import make_plan
from tests.fakes.applier import World

A, B = Address("sandbox", "a"), Address("sandbox", "b")
MANIFEST = """
sandboxes:
  a: {template: x, env_vars: {K: "${{ secrets.KEY }}"}}
  b: {template: x, env_vars: {PEER: "${{ sandbox.a.id }}", S: "${{ vars.s }}"}}
outputs:
  peer: {value: "${{ sandbox.a.id }}", description: Who}
  plain: "${{ vars.s }}!"
  box: "${{ sandbox.a }}"
  key: {value: "${{ secrets.KEY }}"}
"""


def world() -> World:
    made = World()
    made.secrets = {"KEY": Sensitive("hunter2")}
    made.variables = {"s": "one"}
    return made


def test_the_unknown_is_filled_in_once_it_exists() -> None:
    planned = make_plan(world().request(MANIFEST))
    record = ResourceRecord(address=A, id="i-a", uid="u")
    found = planned.evaluation.at_apply(B, {A: record}.get)
    assert found.concealed["env_vars"] == {"PEER": "i-a", "S": "one"}
    assert planned.evaluation.at_apply(B, {A: record}.get) is found


def test_what_does_not_exist_when_it_is_needed_is_an_error() -> None:
    planned = make_plan(world().request(MANIFEST))
    with pytest.raises(DiagnosticsError) as caught:
        planned.evaluation.at_apply(B, {}.get)
    assert caught.value.diagnostics[0].code == "unknown-at-apply"
    assert "env_vars" in caught.value.diagnostics[0].detail


def test_what_the_plan_knew_must_not_change() -> None:
    made = world()
    made.files.files = {"f": "one"}
    manifest = """
sandboxes:
  a: {template: x}
  b: {template: x, env_vars: {P: "${{ sandbox.a.id }}", Q: "${{ file('f') }}"}}
"""
    planned = make_plan(made.request(manifest))
    made.files.files = {"f": "two"}
    with pytest.raises(DiagnosticsError) as caught:
        planned.evaluation.at_apply(B, {A: ResourceRecord(address=A, id="i", uid="u")}.get)
    assert caught.value.diagnostics[0].code == "plan-contradicted"


def test_only_the_revealed_form_holds_secrets() -> None:
    planned = make_plan(world().request(MANIFEST))
    found = planned.evaluation.at_apply(A, {}.get)
    assert found.revealed["env_vars"] == {"K": "hunter2"}
    assert "hunter2" not in repr(found.concealed)
    assert "hunter2" not in repr(found)


def test_outputs_tell_what_is_known_and_no_secret() -> None:
    made = world()
    planned = make_plan(made.request(MANIFEST))
    assert set(planned.evaluation.project_outputs({}.get)) == {"plain", "key"}
    made.perform(planned, planned.plan.operations)
    outputs = planned.evaluation.project_outputs(made.state.resources.get)
    assert outputs["peer"].value == made.record("sandbox.a").id
    assert outputs["peer"].description == "Who"
    assert outputs["plain"].value == "one!"
    assert outputs["key"].sensitive
    assert outputs["key"].value is None
    assert outputs["box"].value["address"] == "sandbox.a"  # type: ignore[index, call-overload]


def test_the_catalogue_may_be_referred_to() -> None:
    made = world()
    manifest = 'sandboxes: {a: {template: python, env_vars: {B: "${{ catalogue.python.build_id }}"}}}'
    python = Address("catalogue", "python")
    made.catalogue[python] = Observed(id="t", presence=Presence.READY, facts={"build_id": "b1"})
    planned = make_plan(made.request(manifest))
    assert planned.evaluation.at_apply(A, {}.get).concealed["env_vars"] == {"B": "b1"}
    made.apply(manifest)
    assert made.plan(manifest).is_empty


@pytest.mark.slow
def test_ten_thousand_sandboxes_are_planned_in_seconds() -> None:
    manifest = """
sandboxes:
  a: {count: 5000, template: python, env_vars: {I: "${{ each.key }}"}, packages: {pip: [httpx]}, ports: {api: 80}}
  b: {count: 5000, template: python, env_vars: {PEER: "${{ sandbox.a[each.key].urls.api }}"}, run_commands: [echo hi]}
"""
    made = World()
    request = made.request(manifest)
    began = time.process_time()
    planned = make_plan(request)
    assert time.process_time() - began < 10
    assert len(planned.plan.changes) == 10_002  # the template and the shared setup beside them
    records: dict[Address, ResourceRecord] = {}
    for address in request.graph.dag.order():
        if address.kind != "sandbox":
            made.catalogue[address] = Observed(id="t", presence=Presence.READY)
            continue
        found = planned.evaluation.at_apply(address, records.get)
        records[address] = ResourceRecord(
            address=address,
            id=f"i-{address}",
            uid=f"u-{address}",
            attributes=found.concealed,
            outputs={"urls": {"api": f"http://{address}"}},
            setup={unit.name: unit.digest or "" for unit in found.units},
            depends_on=found.spec.depends_on,
        )
    made.state = replace(made.state, resources=records)
    request = made.request(manifest)
    began = time.process_time()
    assert make_plan(request).plan.is_empty
    assert time.process_time() - began < 10
