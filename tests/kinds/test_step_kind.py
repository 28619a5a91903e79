from typing import Any

import pytest

from nexus.kinds.registry import KINDS
from nexus.kinds.step import Artefact, Language, StepSpec
from nexus.model.addresses import Address
from nexus.model.resources import Each
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN

KIND = KINDS["step"]
SANDBOX = {"address": "sandbox.web", "id": "i1", "user": "worker"}
ARTEFACT = {"sandbox": "i1", "address": "sandbox.web", "path": "/rows", "sha256": "00", "size": 3}


def digest(attributes: Any) -> str | None:
    (unit,) = KIND.units(attributes)
    return unit.digest


def test_run_is_short_for_bash(normalise: Any):
    found = normalise("step.p.s", {"sandbox": SANDBOX, "run": "echo hi"})
    assert (found["language"], found["code"]) == ("bash", "echo hi")
    assert (found["user"], found["timeout"], found["on"]) == ("worker", 600, "change")
    assert not found.diagnostics


def test_code_of_a_file_is_read_and_its_name_tells_the_language(normalise: Any):
    found = normalise("step.p.s", {"sandbox": SANDBOX, "code": {"file": "step.py"}})
    assert (found["language"], found["code"]) == ("python", "print(1)")


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"sandbox": SANDBOX}, "missing-field"),
        ({"run": "x"}, "missing-field"),
        ({"sandbox": "web", "run": "x"}, "wrong-type"),
        ({"sandbox": {"address": "template.x"}, "run": "x"}, "wrong-type"),
        ({"sandbox": SANDBOX, "code": "x"}, "missing-field"),
        ({"sandbox": SANDBOX, "code": "x", "language": "ruby"}, "invalid-value"),
        ({"sandbox": SANDBOX, "code": {"file": "no.py"}}, "file-not-found"),
        ({"sandbox": SANDBOX, "run": "x", "language": "bash"}, "conflicting-fields"),
        ({"sandbox": SANDBOX, "run": "x", "inputs": {"/x": "text"}}, "wrong-type"),
        ({"sandbox": SANDBOX, "run": "x", "outputs": {"a": "relative"}}, "invalid-value"),
        ({"sandbox": SANDBOX, "run": "x", "retries": -1}, "invalid-value"),
    ],
)
def test_what_can_not_run_is_reported(normalise: Any, attributes: Any, code: str):
    assert normalise("step.p.s", attributes).codes == [code]


def test_a_step_pairs_with_the_instance_of_its_key(normalise: Any):
    instances = {"a": {**SANDBOX, "id": "ia"}, "b": {**SANDBOX, "id": "ib"}}
    found = normalise('step.p.s["b"]', {"sandbox": instances, "run": "x"}, Each("b", None))
    assert found["sandbox"] == {"address": "sandbox.web", "id": "ib"}


BLOCK = {
    "sandbox": SANDBOX,
    "run": "x",
    "inputs": {"/in": ARTEFACT},
    "outputs": {"rows": "/rows"},
    "env_vars": {"A": "1"},
}


@pytest.mark.parametrize(
    "change",
    [
        {"run": "y"},
        {"env_vars": {}},
        {"outputs": {}},
        {"sandbox": {**SANDBOX, "id": "i2"}},
        {"inputs": {"/in": {**ARTEFACT, "sha256": "11"}}},
        {"stdin": "x"},
        {"working_dir": "/tmp"},
        {"user": "root"},
    ],
)
def test_a_step_is_due_when_what_it_is_made_of_changed(normalise: Any, change: Any):
    before = digest(normalise("step.p.s", BLOCK).attributes)
    assert digest(normalise("step.p.s", {**BLOCK, **change}).attributes) != before


@pytest.mark.parametrize(
    "change", [{"timeout": "1h"}, {"retries": 3}, {"on": "always"}, {"inputs": {"/in": {**ARTEFACT, "path": "/moved"}}}]
)
def test_a_step_is_not_due_for_how_it_runs(normalise: Any, change: Any):
    before = digest(normalise("step.p.s", BLOCK).attributes)
    assert digest(normalise("step.p.s", {**BLOCK, **change}).attributes) == before


def test_a_step_of_something_unknown_has_no_digest(normalise: Any):
    assert digest(normalise("step.p.s", {**BLOCK, "inputs": {"/in": UNKNOWN}}).attributes) is None
    assert digest(normalise("step.p.s", {**BLOCK, "sandbox": {**SANDBOX, "id": UNKNOWN}}).attributes) is None


def test_outputs_are_artefacts_once_it_ran(normalise: Any):
    attributes = normalise("step.p.s", BLOCK).attributes
    assert KIND.outputs(attributes, None)["outputs"] == {"rows": UNKNOWN}
    record = ResourceRecord(
        address=Address("step", "p.s"), id="r1", uid="u", outputs={"outputs": {"rows": ARTEFACT}, "exit_code": 0}
    )
    assert KIND.outputs(attributes, record) == {
        "address": "step.p.s",
        "outputs": {"rows": ARTEFACT},
        "exit_code": 0,
    }


def test_known_attributes_become_a_typed_spec(normalise: Any):
    spec = KIND.decode(normalise("step.p.s", BLOCK).attributes)
    assert isinstance(spec, StepSpec)
    assert (spec.sandbox_id, spec.language, spec.code) == ("i1", Language.BASH, "x")
    assert spec.inputs == {"/in": Artefact(sandbox="i1", address="sandbox.web", path="/rows", sha256="00", size=3)}
