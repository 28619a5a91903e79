"""The fields of a step, and how the values of those are read that no other kind has."""

from __future__ import annotations

from enum import StrEnum

from nexus.kinds.base import Field
from nexus.kinds.block import table
from nexus.kinds.durations import DURATION_SCHEMA, duration, parse_duration
from nexus.kinds.identity import ADDRESS
from nexus.kinds.meta import MATRIX, WHEN
from nexus.kinds.own_sandbox import OWN_SCHEMA
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    boolean,
    clean_path,
    env_vars,
    folder_path,
    inside,
    integer,
    mapping,
    one_of,
    shown,
    text,
    user_name,
    within,
)
from nexus.kinds.setup import ENV_VARS_SCHEMA
from nexus.model.addresses import NAME
from nexus.model.changes import Effect
from nexus.model.values import Sensitive, Unknown, Value

DEFAULT_TIMEOUT = 600
MAX_RETRIES = 100
DEFAULT_BACKOFF = 1
MAX_BACKOFF = 3600


class Language(StrEnum):
    PYTHON = "python"
    JAVASCRIPT = "javascript"
    BASH = "bash"


class RunOn(StrEnum):
    """When a step is due: when its ingredients changed, at every apply, or only when asked for."""

    CHANGE = "change"
    ALWAYS = "always"
    MANUAL = "manual"


def read_inputs(value: Value) -> Value:
    found: dict[str, Value] = {}
    for path, item in mapping(value).items():
        with within(path):
            if isinstance(item, Sensitive) or not (isinstance(item, Unknown) or _is_artefact(item)):
                raise InvalidValue(
                    f"an output of a step, not {shown(item)}",
                    code="wrong-type",
                    hint="write ${{ step.PIPELINE.STEP.outputs.NAME }}",
                )
            found[clean_path(path)] = item
    return found


def _is_artefact(value: Value) -> bool:
    return isinstance(value, dict) and {"sandbox", "path", "sha256"} <= value.keys()


def read_outputs(value: Value) -> Value:
    found: dict[str, Value] = {}
    for name, item in mapping(value).items():
        with within(name):
            found[name] = inside(item, clean_path)
    return found


def read_retries(value: Value) -> Value:
    """A number, or a mapping of one and the seconds before the first. Raises InvalidValue."""
    if not isinstance(value, dict):
        return _COUNT(value)
    found: dict[str, Value] = {"count": 0, "backoff": DEFAULT_BACKOFF}
    for name, item in value.items():
        with within(name):
            if name not in found:
                raise InvalidValue("one of count and backoff", code="unknown-field")
            found[name] = inside(item, _COUNT if name == "count" else duration(MAX_BACKOFF))
    return found


_COUNT = integer(0, MAX_RETRIES)
_COUNT_SCHEMA = {"type": "integer", "minimum": 0, "maximum": MAX_RETRIES}
_PATH = {"type": "string", "pattern": "^/"}
FIELDS = table(
    ADDRESS,
    Field(
        name="sandbox",
        refers=True,
        schema={
            "title": "sandbox's name, or a mapping",
            "anyOf": [{"type": "string", "minLength": 1}, OWN_SCHEMA],
            "examples": ["extractor", "${{ sandbox.worker }}", {"template": "python"}],
        },
        description="Where it runs: the name of a sandbox, or an expression. A fanned-out sandbox fans the step out. "
        "A mapping is a sandbox of its own, made when it runs and killed when it has ended.",
        effect=Effect.RERUN,
        required=True,
    ),
    Field(
        name="run",
        read=text,
        schema={"type": "string", "minLength": 1, "examples": ["python /app/src/process.py"]},
        description="A bash script: short for code with language: bash.",
        effect=Effect.RERUN,
        folds_into="code",
    ),
    Field(
        name="code",
        schema={
            "title": "code",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {"file": {"type": "string", "minLength": 1, "description": "A file of the project."}},
                    "required": ["file"],
                    "additionalProperties": False,
                },
            ],
            "examples": [{"file": "./steps/extract.py"}, "print('hello')"],
        },
        description="What runs: the code itself, or a file of the project.",
        effect=Effect.RERUN,
    ),
    Field(
        name="language",
        read=one_of(*Language),
        schema={"enum": [*Language]},
        description="The language of code; a file's name may tell it.",
        effect=Effect.RERUN,
    ),
    Field(
        name="env_vars",
        read=env_vars,
        schema=ENV_VARS_SCHEMA,
        description="Environment of this step, above the sandbox's.",
        effect=Effect.RERUN,
        default={},
    ),
    Field(
        name="working_dir",
        read=folder_path,
        schema=_PATH,
        description="The folder in which it runs; the user's home by default.",
        effect=Effect.RERUN,
    ),
    Field(name="stdin", read=as_text, schema={"type": "string"}, description="What it reads.", effect=Effect.RERUN),
    Field(
        name="user",
        read=user_name,
        schema={"type": "string", "minLength": 1},
        description="Who runs it; the sandbox's user by default.",
        effect=Effect.RERUN,
        default="user",
    ),
    Field(
        name="inputs",
        read=read_inputs,
        refers=True,
        schema={
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {"type": "string", "minLength": 1},
            "examples": [{"/tmp/rows.parquet": "${{ step.etl.extract.outputs.rows }}"}],  # noqa: S108
        },
        description="Files that other steps made, by the path at which this one wants them.",
        effect=Effect.RERUN,
        default={},
    ),
    Field(
        name="outputs",
        read=read_outputs,
        schema={
            "type": "object",
            "propertyNames": {"pattern": f"^{NAME}$"},
            "additionalProperties": _PATH,
            "examples": [{"rows": "/data/rows.parquet"}],
        },
        description="Files that it makes and other steps may take, by name.",
        effect=Effect.RERUN,
        default={},
    ),
    Field(
        name="timeout",
        read=parse_duration,
        schema=DURATION_SCHEMA,
        description="How long one try may take.",
        default=DEFAULT_TIMEOUT,
    ),
    Field(
        name="retries",
        read=read_retries,
        schema={
            "title": "number of retries, or a mapping",
            "anyOf": [
                _COUNT_SCHEMA,
                {
                    "type": "object",
                    "properties": {
                        "count": {**_COUNT_SCHEMA, "description": "How often."},
                        "backoff": {
                            **DURATION_SCHEMA,
                            "default": DEFAULT_BACKOFF,
                            "description": "The pause before the first; each one after it is twice as long, "
                            "up to 5 minutes.",
                        },
                    },
                    "required": ["count"],
                    "additionalProperties": False,
                },
            ],
            "examples": [2, {"count": 3, "backoff": "10s"}],
        },
        description="How often it is tried again after a failure.",
        default=0,
    ),
    Field(
        name="on",
        read=one_of(*RunOn),
        schema={"enum": [*RunOn]},
        description="When it runs: when what it is made of changed, at every apply, or only with «nexus run».",
        default=RunOn.CHANGE.value,
    ),
    Field(
        name="cache",
        read=boolean,
        schema={"type": "boolean"},
        description="Whether an earlier run of the same on this machine stands for this one: same code, inputs, "
        "variables, and a sandbox with the same content. Then its files are brought, and nothing runs.",
        default=False,
    ),
    Field(
        name="needs",
        schema={
            "title": "list of steps",
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "examples": [["extract"]],
        },
        description="Steps of this pipeline, or addresses, that come first.",
        static=True,
        meta=True,
    ),
    WHEN,
    MATRIX,
)
