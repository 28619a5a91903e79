from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nexus.kinds.network import NetworkSpec
from nexus.kinds.packages import PackageSet
from nexus.kinds.readiness import ReadyCheck
from nexus.kinds.registry import KINDS
from nexus.kinds.sandbox import SandboxSpec
from nexus.model.addresses import Address
from nexus.model.resources import Each
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Sensitive, conceal, fingerprinter, reveal

KIND = KINDS["sandbox"]
TEMPLATE = {
    "address": "template.ml",
    "reference": "shop--prod--ml:spec-1",
    "language": "python",
    "env_vars": {"A": "template", "T": "1"},
}


def test_defaults_are_filled_in(normalise: Any):
    found = normalise("sandbox.web", {})
    assert found["template"].startswith("nexus-base:spec-")
    assert (found["timeout"], found["on_timeout"], found["user"]) == (3600, "kill", "user")
    assert found["network"] == {"internet": True, "allow": [], "deny": []}
    assert not found.diagnostics


def test_a_template_gives_its_reference_its_language_and_its_environment(normalise: Any):
    found = normalise("sandbox.web", {"template": TEMPLATE, "env_vars": {"A": 1}, "packages": ["httpx"]})
    assert found["template"] == "shop--prod--ml:spec-1"
    assert found["env_vars"] == {"A": "1", "T": "1"}
    assert found["packages"]["pip"] == ["httpx"]


def test_instances_pair_with_the_instances_of_a_fanned_out_template(normalise: Any):
    found = normalise('sandbox.web["b"]', {"template": {"a": {}, "b": TEMPLATE}}, Each("b", None))
    assert found["template"] == "shop--prod--ml:spec-1"


@pytest.mark.parametrize("word", ["nodejs", "node"])
def test_nodejs_is_another_name_for_node(normalise: Any, word: str):
    found = normalise("sandbox.web", {"template": word, "packages": ["typescript"]})
    assert found["template"].startswith("nexus-node:spec-")
    assert found["packages"]["npm"] == ["typescript"]


def test_another_name_is_a_template_of_e2b_and_its_packages_want_a_prefix(normalise: Any):
    found = normalise("sandbox.web", {"template": "acme/tool:v2", "packages": ["redis"]})
    assert found["template"] == "acme/tool:v2"
    assert found.codes == ["ambiguous-package"]


def test_secrets_stay_secret_and_numbers_become_texts(normalise: Any):
    found = normalise(
        "sandbox.web", {"env_vars": Sensitive({"KEY": "k", "N": 3}), "startup_script": Sensitive("run k")}
    )
    assert reveal(found["env_vars"]) == {"KEY": "k", "N": "3"}
    assert all(isinstance(value, Sensitive) for value in found["env_vars"].values())
    assert isinstance(found["startup_script"], Sensitive)


def test_a_bad_secret_is_reported_without_its_value(normalise: Any):
    found = normalise("sandbox.web", {"timeout": Sensitive("hunter2"), "user": Sensitive("Hunter2")})
    assert found.codes == ["invalid-value", "invalid-value"]
    assert "unter2" not in "".join(map(repr, found.diagnostics))


def test_sensitive_content_has_a_keyed_digest(normalise: Any, files: Any):
    normalise("sandbox.web", {"uploads": [{"path": "/k", "content": Sensitive("key")}, {"path": "/p", "content": "x"}]})
    assert files.sensitive == ["key"]


def test_uploads_go_where_their_slashes_say(normalise: Any):
    found = normalise(
        "sandbox.web",
        {
            "uploads": [
                {"source": "./lib/", "path": "/opt/lib"},
                {"source": "lib", "path": "/opt/copy/"},
                {"source": "notes.txt", "path": "/opt/"},
                {"source": "notes.txt", "path": "/opt/other.txt", "mode": "0600", "user": "root"},
                {"content": 3, "path": "/opt/three"},
            ]
        },
    )
    assert not found.diagnostics
    uploads = found["uploads"]
    assert [item["path"] for item in uploads] == [
        "/opt/lib",
        "/opt/copy",
        "/opt/notes.txt",
        "/opt/other.txt",
        "/opt/three",
    ]
    assert [item["user"] for item in uploads] == ["user", "user", "user", "root", "user"]
    trees = [found.context.trees[item["tree"]] for item in uploads]
    assert set(trees[0]) == {"a.py", "sub/b.py"}
    assert trees[3][""].mode == 0o600


@pytest.mark.parametrize(
    ("upload", "code"),
    [
        ({"source": "missing", "path": "/x"}, "file-not-found"),
        ({"source": "lib", "content": "x", "path": "/x"}, "invalid-value"),
        ({"path": "/x"}, "invalid-value"),
        ({"content": "x"}, "missing-field"),
        ({"content": "x", "path": "/x/"}, "invalid-value"),
        ({"content": "x", "path": "/x/../y"}, "invalid-value"),
        ({"content": "x", "path": "/x", "mode": "999"}, "invalid-value"),
        ({"source": UNKNOWN, "path": "/x"}, "unknown-too-early"),
        ("text", "wrong-type"),
    ],
)
def test_what_is_no_upload_is_reported(normalise: Any, upload: object, code: str):
    assert normalise("sandbox.web", {"uploads": [upload]}).codes == [code]


def test_two_uploads_to_one_path_are_refused(normalise: Any):
    uploads = [{"path": "/x", "content": "a"}, {"path": "/x", "content": "b"}]
    assert normalise("sandbox.web", {"uploads": uploads}).codes == ["duplicate-upload"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ({"internet": False}, (False, [], ["0.0.0.0/0"])),
        ({"internet": False, "allow": ["PyPI.org"]}, (False, ["pypi.org"], ["0.0.0.0/0"])),
        ({"allow": ["*.pypi.org", "1.2.3.4"]}, (False, ["*.pypi.org", "1.2.3.4"], ["0.0.0.0/0"])),
        ({"allow": ["1.2.3.4"]}, (False, ["1.2.3.4"], ["0.0.0.0/0"])),
        ({"allow": ["10.0.0.1"], "deny": ["10.0.0.9/8"]}, (True, ["10.0.0.1"], ["10.0.0.0/8"])),
        ({"deny": ["0.0.0.0/0"]}, (False, [], ["0.0.0.0/0"])),
    ],
)
def test_networks_are_said_in_terms_of_e2b(normalise: Any, written: Any, meant: tuple[bool, list[str], list[str]]):
    internet, allow, deny = meant
    assert normalise("sandbox.web", {"network": written})["network"] == {
        "internet": internet,
        "allow": allow,
        "deny": deny,
    }


@pytest.mark.parametrize(
    ("attributes", "codes"),
    [
        ({"auto_resume": True}, ["conflicting-fields"]),
        ({"auto_resume": True, "on_timeout": "pause"}, []),
        ({"timeout": "25h"}, ["long-timeout"]),
        ({"timeout": 0}, ["invalid-value"]),
        ({"volumes": {"/": "data"}}, ["invalid-value"]),
        ({"volumes": {"data": "data"}}, ["invalid-value"]),
        ({"metadata": {"nexus.uid": "x"}}, ["invalid-value"]),
        ({"metadata": {"key": Sensitive("x")}}, ["invalid-value"]),
        ({"ports": {"api": 49983}}, ["invalid-value"]),
        ({"network": {"deny": ["example.com"]}}, ["invalid-value"]),
        ({"env_vars": {"A-B": "x"}}, ["invalid-name"]),
        ({"ready": {"port": 1, "file": "/x"}}, ["invalid-value"]),
        ({"template": {"address": "sandbox.other"}}, ["wrong-type"]),
        (
            {"env_vars": {"A": None}, "user": "Not a user", "start_command": 3},
            ["invalid-value", "wrong-type", "wrong-type"],
        ),
    ],
)
def test_values_that_make_no_sense_are_reported(normalise: Any, attributes: Any, codes: list[str]):
    found = normalise("sandbox.web", attributes)
    assert sorted(found.codes) == sorted(codes)
    assert all(item.address == "sandbox.web" for item in found.diagnostics)


FULL = {
    "template": TEMPLATE,
    "timeout": "30m",
    "env_vars": {"KEY": Sensitive("k")},
    "packages": {"pip": ["httpx"], "apt": ["jq"]},
    "uploads": [{"path": "/app/c.json", "content": "{}"}],
    "run_commands": ["one", "two"],
    "startup_script": "three",
    "start_command": "serve",
    "ready": {"port": 8000},
    "ports": {"api": 8000},
    "volumes": {"/data/": {"address": "volume.d", "name": "shop--prod--d"}},
    "metadata": {"team": "data", "size": 2},
}


def units(attributes: Any) -> dict[str, Any]:
    return {unit.name: unit for unit in KIND.units(conceal(dict(attributes), fingerprinter(b"key")))}


def test_units_come_in_the_order_of_the_work(normalise: Any):
    found = units(normalise("sandbox.web", FULL).attributes)
    assert list(found) == [
        "env",
        "apt",
        "pip",
        "uploads",
        "run_commands[0]",
        "run_commands[1]",
        "startup_script",
        "start",
        "ready",
    ]
    assert found["run_commands[1]"].rerun_after == ("run_commands[0]",)
    assert found["startup_script"].rerun_after == ("run_commands[0]", "run_commands[1]")
    assert found["ready"].rerun_after == ("start",)
    assert units(normalise("sandbox.web", {}).attributes) == {}


def test_only_the_units_of_what_changed_have_other_digests(normalise: Any):
    before = units(normalise("sandbox.web", FULL).attributes)
    changed = {**FULL, "run_commands": ["one", "TWO"], "env_vars": {"KEY": Sensitive("other")}}
    after = units(normalise("sandbox.web", changed).attributes)
    assert {name for name in after if after[name].digest != before[name].digest} == {"env", "run_commands[1]"}


def test_a_unit_of_something_unknown_has_no_digest(normalise: Any):
    found = units(normalise("sandbox.web", {"run_commands": ["one", UNKNOWN], "env_vars": {"A": UNKNOWN}}).attributes)
    assert [unit.digest is None for unit in found.values()] == [True, False, True]


def test_outputs_are_known_as_far_as_nexus_decides(normalise: Any):
    attributes = normalise("sandbox.web", FULL).attributes
    outputs = KIND.outputs(attributes, None)
    assert outputs["id"] is UNKNOWN
    assert outputs["urls"] == {"api": UNKNOWN}
    assert outputs["metadata"] == {"team": "data", "size": "2"}
    record = ResourceRecord(
        address=Address("sandbox", "web"),
        id="i1",
        uid="u1",
        attributes=attributes,
        outputs={"urls": {"api": "http://x"}, "hosts": {"api": "x"}},
    )
    assert KIND.outputs(attributes, record)["urls"] == {"api": "http://x"}
    assert KIND.outputs(attributes, record)["hosts"] == {"api": "x"}
    other = normalise("sandbox.web", {**FULL, "ports": {"api": 9000}}).attributes
    assert KIND.outputs(other, record)["urls"] == {"api": UNKNOWN}


def test_known_attributes_become_a_typed_spec(normalise: Any):
    attributes = normalise("sandbox.web", FULL).attributes
    spec = KIND.decode(reveal(dict(attributes)))  # type: ignore[arg-type]
    assert isinstance(spec, SandboxSpec)
    assert spec.template == "shop--prod--ml:spec-1"
    assert spec.env_vars == {"A": "template", "T": "1", "KEY": "k"}
    assert spec.packages == PackageSet(apt=("jq",), pip=("httpx",))
    assert spec.network == NetworkSpec()
    assert spec.volumes == {"/data": "shop--prod--d"}
    assert spec.ready is not None
    assert (spec.ready.check, spec.ready.value) == (ReadyCheck.PORT, "8000")
    assert "/dev/tcp/127.0.0.1/8000" in spec.ready.command


texts = st.text(max_size=8) | st.sampled_from(["30m", "kill", "pause", "python", "/x", "a", "apt:x", "1.2.3.4"])
leaves = st.none() | st.booleans() | st.integers(-5, 70_000) | texts | st.just(UNKNOWN) | texts.map(Sensitive)
anything = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["path", "content", "pip", "port", "allow", "/x", "A", "internet"]), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@pytest.mark.parametrize("kind", ["sandbox", "template", "step"])
@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_normalising_takes_anything_and_is_idempotent(normalise: Any, kind: str, data: st.DataObject):
    names = [field.name for field in KINDS[kind].fields if not field.meta and not field.computed]
    attributes = data.draw(st.dictionaries(st.sampled_from(names), anything, max_size=4))
    address = "step.p.s" if kind == "step" else f"{kind}.x"
    once = normalise(address, attributes)
    if not once.diagnostics.has_errors:
        again = normalise(address, once.attributes)
        assert again.attributes == once.attributes
        assert not again.diagnostics.has_errors
        KINDS[kind].units(conceal(dict(once.attributes), fingerprinter(b"key")))  # type: ignore[arg-type]
        KINDS[kind].outputs(once.attributes, None)
