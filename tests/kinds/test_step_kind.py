from typing import Any

import pytest

from nexus.kinds.registry import KINDS
from nexus.kinds.step import Artefact, Language, StepSpec, content_key
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
        ({"sandbox": SANDBOX, "run": "x", "cache": True, "on": "always"}, "conflicting-fields"),
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
    ("written", "count", "backoff"),
    [(3, 3, 1), ("2", 2, 1), ({"count": 2}, 2, 1), ({"count": 2, "backoff": "10s"}, 2, 10)],
)
def test_retries_are_a_number_or_come_with_a_pause(normalise: Any, written: Any, count: int, backoff: int):
    found = normalise("step.p.s", {**BLOCK, "retries": written})
    assert not found.diagnostics
    spec = KIND.decode(found.attributes)
    assert (spec.retries, spec.backoff) == (count, backoff)


@pytest.mark.parametrize("written", [{"count": 2, "pause": 1}, {"count": -1}, {"count": 1, "backoff": "2h"}])
def test_wrong_retries_are_reported(normalise: Any, written: Any):
    assert len(normalise("step.p.s", {**BLOCK, "retries": written}).codes) == 1


OWN = {**BLOCK, "sandbox": {"template": "python", "env_vars": {"A": 1}}}


def test_a_step_may_have_a_sandbox_of_its_own(normalise: Any):
    found = normalise("step.p.s", OWN)
    assert not found.diagnostics
    assert sorted(found["sandbox"]) == ["env_vars", "network", "template", "user", "volumes"]
    spec = KIND.decode(found.attributes)
    assert (spec.sandbox_id, spec.user) == ("", "user")
    assert spec.own is not None
    assert spec.own.env_vars == {
        "A": "1",
        **{name: spec.own.env_vars[name] for name in spec.own.env_vars if name != "A"},
    }
    assert spec.own.template.startswith("nexus-python:")


@pytest.mark.parametrize("change", [{"template": "node"}, {"env_vars": {"A": 2}}, {"network": {"internet": False}}])
def test_a_step_is_due_when_what_its_own_sandbox_is_made_of_changed(normalise: Any, change: Any):
    before = digest(normalise("step.p.s", OWN).attributes)
    assert before is not None
    assert digest(normalise("step.p.s", {**OWN, "sandbox": {**OWN["sandbox"], **change}}).attributes) != before


def test_a_step_waits_for_the_template_of_its_own_sandbox(normalise: Any):
    template = {"address": "template.t", "reference": UNKNOWN, "language": "python", "env_vars": {}}
    found = normalise("step.p.s", {**OWN, "sandbox": {"template": template}})
    assert not found.diagnostics
    assert digest(found.attributes) is None


def test_what_is_wrong_with_a_sandbox_of_its_own_is_said_of_the_step(normalise: Any):
    assert normalise("step.p.s", {**OWN, "sandbox": {"template": "a b"}}).codes == ["invalid-value"]


def test_equal_steps_share_a_key_wherever_they_are(normalise: Any):
    here, there = (
        normalise("step.p.s", {**BLOCK, "sandbox": {**SANDBOX, "id": name}}).attributes for name in ("i1", "i2")
    )
    content = {"template": "t:1", "setup": {"pip": "d1"}}
    assert content_key(here, content) == content_key(there, content)
    assert content_key(here, {**content, "setup": {"pip": "d2"}}) != content_key(here, content)
    other = normalise("step.p.s", {**BLOCK, "run": "y"}).attributes
    assert content_key(other, content) != content_key(here, content)
    unknown = normalise("step.p.s", {**BLOCK, "inputs": {"/in": UNKNOWN}}).attributes
    assert content_key(unknown, content) is None


def test_a_step_without_cache_is_recorded_as_it_was_before_there_was_one(normalise: Any):
    assert "cache" not in normalise("step.p.s", {**BLOCK, "cache": False}).attributes
    assert normalise("step.p.s", {**BLOCK, "cache": True})["cache"] is True


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
