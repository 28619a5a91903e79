"""The sections of a manifest: what a block of each looks like. The kinds' own come from their field tables."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nexus.kinds.base import Field, Kind
from nexus.kinds.registry import KINDS
from nexus.model.addresses import NAME
from nexus.schema.policies import POLICY


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One section of named blocks.

    ``schema`` is that of one block; ``kind`` the kind whose blocks these are, if any; ``optional`` says that a block
    may be empty; ``expressions`` that its values may be expressions.
    """

    name: str
    schema: Mapping[str, object]
    description: str
    kind: Kind[object] | None = None
    optional: bool = False
    expressions: bool = True


def block_schema(fields: Iterable[Field]) -> Mapping[str, object]:
    """The schema of a block with these fields, as far as they can be written."""
    written = [field for field in fields if not field.computed]
    schema: dict[str, object] = {
        "type": "object",
        "properties": {field.name: field_schema(field) for field in written},
        "additionalProperties": False,
    }
    required = [field.name for field in written if field.required]
    return {**schema, "required": required} if required else schema


def field_schema(field: Field) -> Mapping[str, object]:
    """The field's schema with its description and, where there is one, its default."""
    schema = {**field.schema, "description": field.description}
    return schema if field.default is None else {**schema, "default": field.default}


def _text(description: str) -> dict[str, object]:
    return {"type": "string", "minLength": 1, "description": description}


_ANY = {"type": ["string", "number", "boolean", "array", "object"]}
_VARIABLE = {
    "type": "object",
    "properties": {
        "type": {
            "enum": ["string", "integer", "number", "boolean", "list", "map", "object"],
            "description": "What values it takes; that of its default where this is absent.",
        },
        "default": {
            "type": ["string", "number", "boolean", "array", "object", "null"],
            "description": "Its value where nothing else gives one; without a default it is required.",
        },
        "enum": {"type": "array", "minItems": 1, "description": "The only values that it takes."},
        "minimum": {"type": "number", "description": "The smallest number that it takes."},
        "maximum": {"type": "number", "description": "The largest number that it takes."},
        "pattern": _text("A regular expression that its texts have to match somewhere."),
        "description": _text("What it is for."),
    },
    "additionalProperties": False,
}
_ENVIRONMENT = {
    "type": "object",
    "additionalProperties": {"type": ["string", "number", "boolean", "array", "object", "null"]},
    "examples": [{"stage": "prod", "workers": 8}],
}
_SECRET = {
    "type": "object",
    "properties": {
        "env": _text("The environment variable that holds it."),
        "file": _text("The file that holds it; one line break at its end is not part of it."),
        "command": _text("A command of the shell that writes it."),
    },
    "additionalProperties": False,
    "minProperties": 1,
    "maxProperties": 1,
    "examples": [{"env": "OPENAI_API_KEY"}],
}
_OUTPUT = {
    "title": "value, or mapping with one",
    "anyOf": [
        {"type": ["string", "number", "boolean", "array"]},
        {
            "type": "object",
            "properties": {
                "value": {**_ANY, "description": "The value, usually an expression."},
                "description": _text("What it is."),
            },
            "required": ["value"],
            "additionalProperties": False,
        },
    ],
    "examples": [{"value": "${{ sandbox.web.urls.api }}", "description": "Where the API answers"}],
}
_PIPELINE = {
    "type": "object",
    "properties": {
        "description": _text("What it does."),
        "steps": {
            "type": "object",
            "propertyNames": {"pattern": f"^{NAME}$"},
            "additionalProperties": block_schema(KINDS["step"].fields),
            "description": "Its steps by name; they run in the order that their inputs and needs ask for.",
        },
    },
    "required": ["steps"],
    "additionalProperties": False,
}


def _of_kind(kind: str, description: str) -> Section:
    found = KINDS[kind]
    return Section(
        name=found.section,
        schema=block_schema(found.fields),
        description=description,
        kind=found,
        optional=True,
    )


_ALL: Final = (
    Section(
        name="variables",
        schema=_VARIABLE,
        description="Typed inputs: ${{ vars.NAME }}.",
        optional=True,
        expressions=False,
    ),
    Section(
        name="environments",
        schema=_ENVIRONMENT,
        description="Values for variables, by environment. Each environment has its own state.",
        optional=True,
        expressions=False,
    ),
    Section(
        name="secrets",
        schema=_SECRET,
        description="Where secrets are read from: ${{ secrets.NAME }}. They are never stored or printed.",
        expressions=False,
    ),
    _of_kind("volume", "Storage that outlives sandboxes."),
    _of_kind("template", "Templates of your own, built by E2B."),
    _of_kind("sandbox", "The sandboxes."),
    Section(name="pipelines", schema=_PIPELINE, description="Steps that run in sandboxes.", kind=KINDS["step"]),
    Section(name="outputs", schema=_OUTPUT, description="Values that «nexus output» shows."),
    Section(name="policies", schema=POLICY, description="Rules that every plan is held against."),
)

SECTIONS: Final[Mapping[str, Section]] = MappingProxyType({section.name: section for section in _ALL})
"""All sections of named blocks, in the order in which a manifest has them."""
