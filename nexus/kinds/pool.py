"""Warm pools: how many sandboxes of a block stand ready to be taken, and how old they may get."""

from __future__ import annotations

from typing import Final

from nexus.kinds.base import Field
from nexus.kinds.durations import DURATION_SCHEMA, parse_duration
from nexus.kinds.reading import InvalidValue, mapping, shown, within
from nexus.model.resources import Pool
from nexus.model.values import Value

MAX_SIZE: Final = 10_000

_SIZE_SCHEMA = {"type": "integer", "minimum": 0, "maximum": MAX_SIZE}

POOL = Field(
    name="pool",
    schema={
        "anyOf": [
            _SIZE_SCHEMA,
            {
                "type": "object",
                "properties": {
                    "size": {**_SIZE_SCHEMA, "description": "How many stand ready."},
                    "max_age": {
                        **DURATION_SCHEMA,
                        "description": "One that has stood for so long is replaced by the next apply. Less than its "
                        "timeout, so that it is replaced before it ends.",
                    },
                },
                "required": ["size"],
                "additionalProperties": False,
            },
        ],
        "examples": [3, {"size": 3, "max_age": "40m"}],
    },
    description="How many sandboxes stand ready for «nexus pool take», or size and max_age. What was taken is "
    "somebody's own until its time ends; the next apply, or the controller's next look, makes another in its place.",
    static=True,
    meta=True,
)


def pool_from(value: Value) -> Pool:
    """What the field says. Raises InvalidValue."""
    if not isinstance(value, dict):
        return Pool(_size(value))
    fields = mapping(value)
    with within("size"):
        size = _size(fields.get("size"))
    max_age = None
    if fields.get("max_age") is not None:
        with within("max_age"):
            max_age = parse_duration(fields["max_age"])
    return Pool(size, max_age)


def _size(value: Value) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_SIZE:
        raise InvalidValue(f"a whole number from 0 to {MAX_SIZE}, not {shown(value)}")
    return value
