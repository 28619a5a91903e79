from typing import Any

import pytest

from nexus.kinds.bases import BaseSource, BaseSpec
from nexus.kinds.catalogue import catalogue_address
from nexus.kinds.definitions import DEFINITIONS, Definition
from nexus.kinds.registry import KINDS
from nexus.kinds.template import TemplateSpec
from nexus.model.addresses import Address
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Sensitive, reveal

KIND = KINDS["template"]


def test_the_name_says_project_environment_and_template(normalise: Any):
    assert normalise("template.ML", {})["name"] == "shop--prod--ml"
    assert normalise('template.ml["eu"]', {})["name"] == "shop--prod--ml--eu"
    odd = normalise('template.ml["a/b"]', {})["name"]
    assert odd.startswith("shop--prod--ml--a-b-")
    assert odd != normalise('template.ml["a b"]', {})["name"]


def test_the_reference_is_known_beforehand_and_follows_the_build_inputs(normalise: Any):
    first = normalise("template.ml", {"base_template": "python", "packages": ["pandas"]})["reference"]
    assert first.startswith("shop--prod--ml:spec-")
    assert normalise("template.ml", {"base_template": "python", "packages": {"pip": ["pandas"]}})["reference"] == first
    assert normalise("template.ml", {"base_template": "python", "packages": ["numpy"]})["reference"] != first
    assert (
        normalise("template.ml", {"base_template": "python", "packages": ["pandas"], "tags": ["v1"]})["reference"]
        == first
    )


def test_a_secret_variable_is_no_part_of_a_build(normalise: Any):
    without = normalise("template.ml", {"env_vars": {"A": "1"}})["reference"]
    first, second = (
        normalise("template.ml", {"env_vars": {"A": "1", "K": Sensitive(key)}})["reference"] for key in ("a", "b")
    )
    assert first == second == without
    assert normalise("template.ml", {"env_vars": {"K": UNKNOWN}})["reference"] is UNKNOWN


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("run_commands", ["true", Sensitive("key")]),
        ("startup_script", Sensitive("key")),
        ("uploads", [{"path": "/key", "content": Sensitive("key")}]),
    ],
)
def test_a_secret_that_would_be_built_in_is_refused(normalise: Any, field: str, value: Any):
    assert [item.code for item in normalise("template.ml", {field: value}).diagnostics] == ["secret-in-template"]


def test_language_and_environment_are_inherited(normalise: Any):
    parent = KIND.outputs(
        normalise("template.a", {"base_template": "react", "env_vars": {"A": "1", "B": "1"}}).attributes, None
    )
    found = normalise("template.b", {"base_template": dict(parent), "packages": ["jest"], "env_vars": {"B": "2"}})
    assert found["language"] == "node"
    assert found["packages"]["npm"] == ["jest"]
    assert found["env_vars"] == {"A": "1", "B": "2"}
    assert found["base_template"] == {"template": parent["reference"]}


@pytest.mark.parametrize(
    ("written", "base", "language"),
    [
        ({"image": "python:3.12-slim"}, {"image": "python:3.12-slim"}, "python"),
        ({"base_template": {"image": "ghcr.io/acme/tool:1"}}, {"image": "ghcr.io/acme/tool:1"}, ""),
        ({"dockerfile": "FROM node:22\nRUN true\n"}, {"dockerfile": "FROM node:22\nRUN true\n"}, "node"),
        ({"base_template": "acme/tool"}, {"template": "acme/tool"}, ""),
    ],
)
def test_bases_of_every_kind(normalise: Any, written: Any, base: Any, language: str):
    found = normalise("template.t", written)
    assert (found["base_template"], found["language"]) == (base, language)
    assert not found.diagnostics


@pytest.mark.parametrize(
    ("attributes", "code"),
    [
        ({"cpu": 3}, "invalid-value"),
        ({"cpu": 34}, "invalid-value"),
        ({"memory": "127MiB"}, "invalid-value"),
        ({"memory": 513}, "invalid-value"),
        ({"tags": ["spec-1"]}, "invalid-value"),
        ({"tags": ["a b"]}, "invalid-value"),
        ({"image": "a", "dockerfile": "FROM b"}, "conflicting-fields"),
        ({"dockerfile": "FROM a\nCOPY . /app"}, "invalid-value"),
        ({"dockerfile": "FROM a\nFROM b"}, "invalid-value"),
        ({"dockerfile": "missing/Dockerfile"}, "file-not-found"),
        ({"base_template": "not a name"}, "invalid-value"),
        ({"base_template": {"address": "sandbox.x"}}, "wrong-type"),
    ],
)
def test_values_that_can_not_be_built_are_reported(normalise: Any, attributes: Any, code: str):
    assert normalise("template.t", attributes).codes == [code]


def test_the_build_of_a_record_is_only_known_while_it_is_the_same(normalise: Any):
    attributes = normalise("template.t", {}).attributes
    record = ResourceRecord(
        address=Address("template", "t"), id="t1", uid="u", attributes=attributes, outputs={"build_id": "b1"}
    )
    assert KIND.outputs(attributes, None)["build_id"] is UNKNOWN
    assert KIND.outputs(attributes, record)["build_id"] == "b1"
    assert KIND.outputs(normalise("template.t", {"cpu": 4}).attributes, record)["build_id"] is UNKNOWN


def test_known_attributes_become_a_typed_spec(normalise: Any):
    attributes = normalise(
        "template.t", {"base_template": "python", "memory": "1GiB", "cpu": 2, "tags": ["b", "a"]}
    ).attributes
    spec = KIND.decode(reveal(dict(attributes)))  # type: ignore[arg-type]
    assert isinstance(spec, TemplateSpec)
    assert spec.reference == attributes["reference"]
    assert spec.base == BaseSpec(BaseSource.TEMPLATE, str(attributes["base_template"]["template"]))  # type: ignore[index,call-overload]
    assert (spec.cpu, spec.memory, spec.tags) == (2, 1024, ("a", "b"))


@pytest.mark.parametrize("definition", DEFINITIONS.values(), ids=DEFINITIONS)
def test_every_definition_of_the_catalogue_is_a_build(normalise: Any, definition: Definition):
    kind = KINDS["catalogue"]
    found = normalise(f"catalogue.{definition.name}", {})
    spec = kind.decode(found.attributes)
    assert isinstance(spec, TemplateSpec)
    assert spec.base == BaseSpec(BaseSource.IMAGE, "e2bdev/base")
    assert spec.reference == normalise("sandbox.x", {"template": definition.name})["template"]
    assert {upload.tree for upload in spec.uploads} == set(found.context.trees)
    assert kind.outputs(found.attributes, None)["language"] == definition.language
    assert set(found.attributes) == {field.name for field in kind.fields}


def test_the_catalogue_has_the_documented_templates():
    assert set(DEFINITIONS) == {"base", "python", "node", "react", "nextjs", "vanilla", "claude-code"}
    assert catalogue_address("nodejs") == Address("catalogue", "node")
    assert catalogue_address("mine") is None


def test_an_unknown_name_of_the_catalogue_is_reported(normalise: Any):
    assert normalise("catalogue.ruby", {}).codes == ["unknown-template"]


def test_a_volume_is_its_name(normalise: Any):
    attributes = normalise("volume.Data", {}).attributes
    assert KINDS["volume"].outputs(attributes, None) == {
        "address": "volume.Data",
        "name": "shop--prod--data",
        "id": UNKNOWN,
    }
