"""The published JSON Schema of nexus.yaml (draft 2020-12), made from the same tables as the check."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from nexus.model.addresses import NAME
from nexus.schema.head import HEAD
from nexus.schema.sections import SECTIONS, Section

_EXPRESSION: Final = {"$ref": "#/$defs/expression"}
_ANNOTATIONS: Final = ("title", "description", "default", "examples")


def manifest_schema() -> dict[str, object]:
    """The JSON Schema of a whole manifest. Expressions are allowed wherever the check allows them."""
    properties: dict[str, object] = {name: dict(schema) for name, schema in HEAD.items()}
    definitions: dict[str, object] = {
        "expression": {
            "title": "expression",
            "description": "A text with ${{ … }} in it, evaluated by nexus.",
            "type": "string",
            "pattern": r"\$\{\{",
        }
    }
    for section in SECTIONS.values():
        definition = _SINGULAR[section.name]
        definitions[definition] = _block(section)
        properties[section.name] = {
            "type": ["object", "null"],
            "description": section.description,
            "propertyNames": {"pattern": f"^{NAME}$"},
            "additionalProperties": {"$ref": f"#/$defs/{definition}"},
        }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "nexus manifest",
        "description": "What should exist: sandboxes, templates, volumes and pipelines, for nexus to plan and apply.",
        "type": "object",
        "properties": properties,
        "patternProperties": {"^x-": {"description": "Yours: a place for anchors."}},
        "additionalProperties": False,
        "required": ["apiVersion", "project"],
        "$defs": definitions,
    }


_SINGULAR: Final = {
    "variables": "variable",
    "environments": "environment",
    "secrets": "secret",
    "volumes": "volume",
    "templates": "template",
    "sandboxes": "sandbox",
    "pipelines": "pipeline",
    "outputs": "output",
    "policies": "policy",
}


def manifest_schema_text() -> str:
    """The schema as its file has it."""
    return json.dumps(manifest_schema(), indent=2, ensure_ascii=False) + "\n"


def _block(section: Section) -> dict[str, object]:
    schema = _structure(section.schema) if section.expressions else dict(section.schema)
    if section.optional:
        schema["type"] = ["object", "null"]
    return schema


def _structure(schema: Mapping[str, object]) -> dict[str, object]:
    """The schema with expressions allowed in all its parts, but not for itself."""
    found = dict(schema)
    properties, items, others = schema.get("properties"), schema.get("items"), schema.get("additionalProperties")
    if isinstance(properties, Mapping):
        found["properties"] = {name: _open(part) for name, part in properties.items()}
    if isinstance(items, Mapping):
        found["items"] = _open(items)
    if isinstance(others, Mapping):
        found["additionalProperties"] = _open(others)
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        found["anyOf"] = [_structure(branch) for branch in branches]
    return found


def _open(schema: Mapping[str, object]) -> dict[str, object]:
    """The schema, or an expression in its stead."""
    found = _structure(schema)
    branches = found.get("anyOf")
    if isinstance(branches, list):
        return {**found, "anyOf": [*branches, _EXPRESSION]}
    if _takes_any_text(schema):
        return found
    annotations: dict[str, object] = {name: found.pop(name) for name in _ANNOTATIONS if name in found}
    return {**annotations, "anyOf": [found, _EXPRESSION]}


def _takes_any_text(schema: Mapping[str, object]) -> bool:
    types = schema.get("type")
    is_text = "string" in types if isinstance(types, list) else types == "string"
    return is_text and "pattern" not in schema and "enum" not in schema
