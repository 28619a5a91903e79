"""Fields about a block itself, the same in every kind; the graph reads them, and no attribute comes of them."""

from __future__ import annotations

from collections.abc import Iterable

from nexus.kinds.base import Field
from nexus.kinds.durations import DURATION_SCHEMA, parse_duration
from nexus.kinds.field_paths import EVERYTHING
from nexus.kinds.reading import mapping, within
from nexus.model.resources import OnDestroy, Stage
from nexus.model.values import Value

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


_CONDITION = {
    "type": "object",
    "properties": {
        "condition": {"type": "boolean", "description": "What has to be true; usually an expression."},
        "error_message": {"type": "string", "minLength": 1, "description": "What to say where it is not."},
    },
    "required": ["condition", "error_message"],
    "additionalProperties": False,
}


def _conditions(description: str, example: str) -> dict[str, object]:
    return {
        "title": "list of conditions",
        "type": "array",
        "items": _CONDITION,
        "description": description,
        "examples": [[{"condition": example, "error_message": "…"}]],
    }


_ON_DESTROY = {
    "enum": [*OnDestroy],
    "default": OnDestroy.KILL.value,
    "description": "What becomes of a sandbox that is destroyed or replaced: it goes, it is left paused and forgotten, "
    "or a snapshot of it stays. Remembered, so that it holds once the block is gone.",
}


def lifecycle(fields: Iterable[Field], *, on_destroy: bool = False) -> Field:
    """The field ``lifecycle`` of a kind with these fields."""
    names = [field.name for field in fields if not field.meta and not field.computed]
    choice = {
        "title": "list of fields",
        "type": "array",
        "items": {
            "title": "field or a part of one",
            "type": "string",
            "pattern": rf"^({'|'.join(names)})([.\[].+)?$" if names else "^$",
            "examples": names,
        },
    }
    every = {"title": "list of fields, or all", "anyOf": [{"enum": [EVERYTHING], "type": "string"}, choice]}
    return Field(
        name="lifecycle",
        schema={
            "type": "object",
            "properties": {
                "prevent_destroy": {
                    "type": "boolean",
                    "default": False,
                    "description": "Refuse every plan that would delete or replace it. Remembered, so that it holds "
                    "once the block is gone.",
                },
                "ignore_changes": {
                    **every,
                    "description": "Fields, or parts such as metadata.team, whose changes are left alone.",
                },
                "replace_on": {
                    **choice,
                    "description": "Fields, or parts such as env_vars.MODE, whose changes replace the object.",
                },
                "create_before_destroy": {
                    "type": "boolean",
                    "default": False,
                    "description": "Make the replacement before the old object goes; so it is with what it needs.",
                },
                **({"on_destroy": _ON_DESTROY} if on_destroy else {}),
                Stage.PRECONDITION.value: _conditions(
                    "What has to be true before anything is done to it.", "${{ vars.workers > 0 }}"
                ),
                Stage.POSTCONDITION.value: _conditions(
                    "What has to be true afterwards; self stands for its outputs. What depends on it waits for this.",
                    "${{ self.timeout >= 600 }}",
                ),
            },
            "additionalProperties": False,
        },
        description="How it may change.",
        meta=True,
    )


_LIMITS = {
    "create": "Making it.",
    "update": "A change in place of a sandbox, or a new build of a template.",
    "delete": "Deleting it.",
    "setup": "One installation, upload or command in a sandbox.",
}


def timeouts(*classes: str) -> Field:
    """The field ``timeouts`` of a kind with operations of these classes."""
    return Field(
        name="timeouts",
        schema={
            "type": "object",
            "properties": {name: {**DURATION_SCHEMA, "description": _LIMITS[name]} for name in classes},
            "additionalProperties": False,
            "examples": [{"create": "5m"}],
        },
        description="How long one operation on it may take, retries included; it fails when its time is up.",
        static=True,
        meta=True,
        read=read_timeouts,
    )


def read_timeouts(value: Value) -> Value:
    """Seconds by class of operation. Raises InvalidValue."""
    found: dict[str, Value] = {}
    for name, item in mapping(value).items():
        with within(name):
            found[name] = parse_duration(item)
    return found


_PERCENT = {"type": "integer", "minimum": 1, "maximum": 100}
ALERTS = Field(
    name="alerts",
    schema={
        "type": "object",
        "properties": {
            "cpu": {**_PERCENT, "description": "Percent of its CPUs."},
            "memory": {**_PERCENT, "description": "Percent of its memory."},
            "disk": {**_PERCENT, "description": "Percent of its disk."},
        },
        "additionalProperties": False,
        "examples": [{"cpu": 90, "disk": 80}],
    },
    description="From which use on «nexus drift» warns, of sandboxes. Nothing is planned because of it.",
    static=True,
    meta=True,
)


SETUP = Field(
    name="setup",
    schema={"enum": ["shared", "each"], "type": "string"},
    description="Whether what all instances of a block set up alike (packages, uploads, run_commands) is done once and "
    "kept as a snapshot that they are made from, or in each of them. Not said: shared where three or more are to be "
    "made, or one of a pool, and there is something to install or to run.",
    static=True,
    meta=True,
)


def with_meta(
    *fields: Field, limits: tuple[str, ...] = ("create", "delete"), sandbox: bool = False
) -> tuple[Field, ...]:
    """The fields of a kind, and those about its block. ``limits`` are the classes of its operations."""
    about = (COUNT, FOR_EACH, WHEN, DEPENDS_ON, timeouts(*limits), lifecycle(fields, on_destroy=sandbox))
    return (*fields, *about, ALERTS) if sandbox else (*fields, *about)
