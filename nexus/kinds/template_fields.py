"""The fields of a template, and how the values of those are read that no other kind has."""

from __future__ import annotations

import re
from typing import Final

from nexus.kinds.base import Field
from nexus.kinds.block import table
from nexus.kinds.identity import ADDRESS, NAME
from nexus.kinds.meta import with_meta
from nexus.kinds.reading import InvalidValue, boolean, inside, integer, line, sequence, shown, user_name, within
from nexus.kinds.setup import setup_fields
from nexus.kinds.sizes import MEMORY_SCHEMA, parse_memory
from nexus.model.changes import Effect
from nexus.model.values import Value

SPEC_TAG: Final = "spec-"
"""Every build of nexus' own gets a tag of this and the digest of its inputs, so its reference is known beforehand."""

MAX_CPU: Final = 32


def read_cpu(value: Value) -> Value:
    count = integer(1, MAX_CPU)(value)
    if isinstance(count, int) and count != 1 and count % 2:
        raise InvalidValue(f"1 or an even number, not {count}")
    return count


def read_tag(value: Value) -> str:
    tag = line(value)
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", tag):
        raise InvalidValue(f"made of letters, digits, _, . and -, unlike {shown(tag)}")
    if tag.startswith(SPEC_TAG):
        raise InvalidValue(f"other than {shown(tag)}: tags that begin with {SPEC_TAG} are nexus' own")
    return tag


def read_tags(value: Value) -> Value:
    found: list[Value] = []
    for index, item in enumerate(sequence(value)):
        with within(index):
            found.append(inside(item, read_tag))
    return found


REFERENCE = Field(
    name="reference",
    schema={"type": "string"},
    description="What sandboxes are made from: the name with the tag of the build.",
    effect=Effect.REBUILD,
    computed=True,
)
LANGUAGE = Field(
    name="language",
    schema={"type": "string"},
    description="Whose packages bare names are: python, node or base; inherited along base_template.",
    computed=True,
    default="",
)
PROMOTED_FROM = Field(
    name="promoted_from",
    read=line,
    schema={"type": "string", "minLength": 1, "examples": ["dev"]},
    description="The environment whose build it takes over: it is never built in another one than that.",
)
FIELDS = table(
    ADDRESS,
    NAME,
    REFERENCE,
    LANGUAGE,
    *with_meta(
        Field(
            name="base_template",
            refers=True,
            schema={
                "title": "base of a template",
                "anyOf": [
                    {"type": "string", "minLength": 1},
                    {
                        "type": "object",
                        "properties": {
                            "image": {"type": "string", "minLength": 1, "description": "An OCI image."},
                            "dockerfile": {
                                "type": "string",
                                "minLength": 1,
                                "description": "Path or text of a Dockerfile.",
                            },
                        },
                        "minProperties": 1,
                        "maxProperties": 1,
                        "additionalProperties": False,
                    },
                ],
                "examples": ["python", "${{ template.other }}", {"image": "ubuntu:24.04"}],
            },
            description="What it builds on: a name of the catalogue, a template of E2B's, another template, an image "
            "or a Dockerfile.",
            effect=Effect.REBUILD,
            default="base",
        ),
        Field(
            name="image",
            schema={"type": "string", "minLength": 1, "examples": ["ubuntu:24.04"]},
            description="An OCI image to build on: the same as base_template with image.",
            effect=Effect.REBUILD,
            folds_into="base_template",
        ),
        Field(
            name="dockerfile",
            schema={"type": "string", "minLength": 1, "examples": ["./Dockerfile"]},
            description="Path or text of a Dockerfile to build on: the same as base_template with dockerfile.",
            effect=Effect.REBUILD,
            folds_into="base_template",
        ),
        *setup_fields(Effect.REBUILD),
        Field(
            name="user",
            read=user_name,
            schema={"type": "string", "minLength": 1},
            description="Who start_command runs as and uploads belong to.",
            effect=Effect.REBUILD,
            default="user",
        ),
        Field(
            name="cpu",
            read=read_cpu,
            schema={
                "title": "number of CPUs",
                "type": "integer",
                "minimum": 1,
                "maximum": MAX_CPU,
                "examples": [1, 2, 4],
            },
            description="Number of CPUs of its sandboxes: 1 or an even number.",
            effect=Effect.REBUILD,
        ),
        Field(
            name="memory",
            read=parse_memory,
            schema=MEMORY_SCHEMA,
            description="Memory of its sandboxes, an even number of MiB.",
            effect=Effect.REBUILD,
        ),
        Field(
            name="tags",
            read=read_tags,
            schema={"type": "array", "items": {"type": "string", "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$"}},
            description="Tags that point at the newest build.",
            effect=Effect.IN_PLACE,
            default=[],
        ),
        Field(
            name="public",
            read=boolean,
            schema={"type": "boolean"},
            description="Whether other accounts may use it.",
            effect=Effect.IN_PLACE,
            default=False,
        ),
        PROMOTED_FROM,
        limits=("create", "update", "delete"),
    ),
)
