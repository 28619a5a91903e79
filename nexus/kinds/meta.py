"""Fields about a block itself, the same in every kind; the graph reads them, and no attribute comes of them."""

from __future__ import annotations

from collections.abc import Iterable

from nexus.kinds.base import Field

COUNT = Field(
    name="count",
    schema={"type": "integer", "minimum": 0, "examples": [3]},
    description='How many instances to make; their keys are "0", "1" and so on, and each.key and each.value tell them.',
    static=True,
    meta=True,
)
FOR_EACH = Field(
    name="for_each",
    schema={"type": ["array", "object"], "examples": [["eu", "us"], {"eu": {"size": 2}}, "${{ range(3) }}"]},
    description="One instance for each item of a list, or each key of a mapping, as each.key and each.value.",
    static=True,
    meta=True,
)
MATRIX = Field(
    name="matrix",
    schema={
        "type": "object",
        "additionalProperties": {"type": "array", "minItems": 1},
        "minProperties": 1,
        "examples": [{"python": ["3.11", "3.12"], "size": [1, 2]}],
    },
    description="One instance for each combination of these lists' items; each.value holds the combination.",
    static=True,
    meta=True,
)
WHEN = Field(
    name="when",
    schema={"type": "boolean", "examples": ["${{ vars.stage == 'prod' }}"]},
    description="Whether the block exists at all.",
    static=True,
    meta=True,
)
DEPENDS_ON = Field(
    name="depends_on",
    schema={"type": "array", "items": {"type": "string", "minLength": 1}, "examples": [["sandbox.worker"]]},
    description="Addresses of what must be there first, where no expression says so already.",
    static=True,
    meta=True,
)


def lifecycle(fields: Iterable[Field]) -> Field:
    """The field ``lifecycle`` of a kind with these fields."""
    names = [field.name for field in fields if not field.meta and not field.computed]
    choice = {"type": "array", "items": {"type": "string", "enum": names}}
    return Field(
        name="lifecycle",
        schema={
            "type": "object",
            "properties": {
                "prevent_destroy": {
                    "type": "boolean",
                    "default": False,
                    "description": "Refuse every plan that would delete or replace it.",
                },
                "ignore_changes": {**choice, "description": "Fields whose changes are left alone."},
                "replace_on": {**choice, "description": "Fields whose changes replace the object."},
                "create_before_destroy": {
                    "type": "boolean",
                    "default": False,
                    "description": "Make the replacement before the old object goes.",
                },
            },
            "additionalProperties": False,
        },
        description="How it may change.",
        static=True,
        meta=True,
    )


def with_meta(*fields: Field) -> tuple[Field, ...]:
    """The fields of a kind, and those about its block."""
    return (*fields, COUNT, FOR_EACH, WHEN, DEPENDS_ON, lifecycle(fields))
