"""Steps of pipelines: code that runs in a sandbox when what it is made of changed."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus.kinds.base import Field, Normalising, Unit
from nexus.kinds.block import Block, table
from nexus.kinds.durations import DURATION_SCHEMA, parse_duration
from nexus.kinds.identity import ADDRESS, instance_of, kind_of
from nexus.kinds.meta import MATRIX, WHEN
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
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
)
from nexus.kinds.setup import ENV_VARS_SCHEMA, known_digest
from nexus.model.addresses import NAME
from nexus.model.changes import Effect, Verb
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Fingerprint, Sensitive, Unknown, Value, lookup

DEFAULT_TIMEOUT = 600
MAX_RETRIES = 100


class Language(StrEnum):
    PYTHON = "python"
    JAVASCRIPT = "javascript"
    BASH = "bash"


class RunOn(StrEnum):
    """When a step is due: when its ingredients changed, at every apply, or only when asked for."""

    CHANGE = "change"
    ALWAYS = "always"
    MANUAL = "manual"


_LANGUAGE_OF_SUFFIX = {
    ".py": Language.PYTHON,
    ".js": Language.JAVASCRIPT,
    ".mjs": Language.JAVASCRIPT,
    ".cjs": Language.JAVASCRIPT,
    ".sh": Language.BASH,
    ".bash": Language.BASH,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Artefact:
    """A file that a step left in a sandbox; ``size`` is in bytes."""

    sandbox: str
    address: str
    path: str
    sha256: str
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpec:
    """A step as it should run. ``inputs`` are artefacts by path where they are wanted; ``timeout`` counts seconds."""

    sandbox_id: str
    sandbox_address: str
    language: Language
    code: str
    env_vars: Mapping[str, str] = field(default_factory=dict)
    working_dir: str | None = None
    stdin: str | None = None
    user: str = "user"
    inputs: Mapping[str, Artefact] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    timeout: int = DEFAULT_TIMEOUT
    retries: int = 0
    on: RunOn = RunOn.CHANGE


_PATH = {"type": "string", "pattern": "^/"}
FIELDS = table(
    ADDRESS,
    Field(
        name="sandbox",
        schema={"type": "string", "minLength": 1, "examples": ["extractor", "${{ sandbox.worker }}"]},
        description="Where it runs: the name of a sandbox, or an expression. A fanned-out sandbox fans the step out.",
        effect=Effect.RERUN,
        required=True,
    ),
    Field(
        name="run",
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
        schema={"enum": [*Language]},
        description="The language of code; a file's name may tell it.",
        effect=Effect.RERUN,
    ),
    Field(
        name="env_vars",
        schema=ENV_VARS_SCHEMA,
        description="Environment of this step, above the sandbox's.",
        effect=Effect.RERUN,
        default={},
    ),
    Field(
        name="working_dir",
        schema=_PATH,
        description="The folder in which it runs; the user's home by default.",
        effect=Effect.RERUN,
    ),
    Field(name="stdin", schema={"type": "string"}, description="What it reads.", effect=Effect.RERUN),
    Field(
        name="user",
        schema={"type": "string", "minLength": 1},
        description="Who runs it; the sandbox's user by default.",
        effect=Effect.RERUN,
        default="user",
    ),
    Field(
        name="inputs",
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
        schema=DURATION_SCHEMA,
        description="How long one try may take.",
        default=DEFAULT_TIMEOUT,
    ),
    Field(
        name="retries",
        schema={"type": "integer", "minimum": 0, "maximum": MAX_RETRIES},
        description="How often it is tried again after a failure.",
        default=0,
    ),
    Field(
        name="on",
        schema={"enum": [*RunOn]},
        description="When it runs: when what it is made of changed, at every apply, or only with «nexus run».",
        default=RunOn.CHANGE.value,
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
_INGREDIENTS = ("code", "language", "env_vars", "working_dir", "stdin", "user", "outputs")


class StepKind:
    """The kind ``step``: its address is ``step.pipeline.step``."""

    name = "step"
    section = "pipelines"
    fields = tuple(FIELDS.values())

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """See :class:`nexus.kinds.base.Kind`. ``sandbox`` is a sandbox's outputs, inputs are artefacts."""
        block = Block(attributes, FIELDS, context)
        sandbox, sandbox_user = _sandbox(block)
        language, code = _code(block)
        return {
            "address": str(context.spec.address),
            "sandbox": sandbox,
            "language": language,
            "code": code,
            "env_vars": block.take("env_vars", env_vars),
            "working_dir": block.take("working_dir", folder_path),
            "stdin": block.take("stdin", as_text),
            "user": block.take("user", user_name) if block.has("user") else sandbox_user,
            "inputs": block.take("inputs", _inputs),
            "outputs": block.take("outputs", _outputs),
            "timeout": block.take("timeout", parse_duration),
            "retries": block.take("retries", integer(0, MAX_RETRIES)),
            "on": block.take("on", one_of(*RunOn)),
        }

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:
        """One, ``run``. Of its inputs the content counts, of its sandbox the identity."""
        ingredients: dict[str, Value] = {name: attributes[name] for name in _INGREDIENTS}
        ingredients["inputs"] = _contents(attributes["inputs"])
        ingredients["sandbox"] = lookup(attributes["sandbox"], ("id",))
        return (Unit(name="run", verb=Verb.RUN_STEP, field="code", digest=known_digest(ingredients)),)

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        """``outputs`` holds an artefact for each name; UNKNOWN until the step made it."""
        recorded = {} if record is None else dict(record.outputs)
        artefacts, names = recorded.get("outputs"), attributes["outputs"]
        made = artefacts if isinstance(artefacts, dict) else {}
        return {
            **recorded,
            "address": attributes["address"],
            "outputs": {name: made.get(name, UNKNOWN) for name in names} if isinstance(names, dict) else UNKNOWN,
            "exit_code": recorded.get("exit_code", UNKNOWN),
        }

    def decode(self, attributes: Attributes) -> StepSpec:
        sandbox, working_dir, stdin = (attributes[name] for name in ("sandbox", "working_dir", "stdin"))
        retries = attributes["retries"]
        return StepSpec(
            sandbox_id=text(lookup(sandbox, ("id",))),
            sandbox_address=text(lookup(sandbox, ("address",))),
            language=Language(text(attributes["language"])),
            code=text(attributes["code"]),
            env_vars={name: as_text(item) for name, item in mapping(attributes["env_vars"]).items()},
            working_dir=None if working_dir is None else text(working_dir),
            stdin=None if stdin is None else as_text(stdin),
            user=text(attributes["user"]),
            inputs={path: _artefact(item) for path, item in mapping(attributes["inputs"]).items()},
            outputs={name: text(item) for name, item in mapping(attributes["outputs"]).items()},
            timeout=parse_duration(attributes["timeout"]),
            retries=retries if isinstance(retries, int) else 0,
            on=RunOn(text(attributes["on"])),
        )


def _sandbox(block: Block) -> tuple[Value, Value]:
    """``{"address", "id"}`` of the sandbox, and who steps in it run as by default."""
    value = instance_of(block.raw("sandbox"), block.context.spec.each)
    match value:
        case Unknown():
            return UNKNOWN, UNKNOWN
        case dict() if kind_of(value) == "sandbox":
            return {"address": value["address"], "id": value.get("id", UNKNOWN)}, value.get("user", "user")
        case None:
            block.fail("sandbox", "missing-field", "The step does not say in which sandbox it runs")
        case _:
            block.report("sandbox", InvalidValue(f"a sandbox of this project, not {shown(value)}", code="wrong-type"))
    return UNKNOWN, UNKNOWN


def _code(block: Block) -> tuple[Value, Value]:
    """Language and text of what runs."""
    if block.has("run") and (block.has("code") or block.has("language")):
        block.fail(
            "run",
            "conflicting-fields",
            "run stands for code and language",
            hint="keep run for bash, or code with its language",
        )
    if block.has("run"):
        return Language.BASH.value, block.take("run", text)
    if not block.has("code"):
        block.fail("code", "missing-field", "The step does not say what it runs", hint="add run: or code:")
        return UNKNOWN, UNKNOWN
    code, inferred = _content(block)
    if block.has("language"):
        return block.take("language", one_of(*Language)), code
    if inferred is None:
        block.fail(
            "code",
            "missing-field",
            "The step does not say in which language its code is",
            hint=f"add language: {', '.join(Language)}",
        )
    return UNKNOWN if inferred is None else inferred.value, code


def _content(block: Block) -> tuple[Value, Language | None]:
    """The code, and its language where the name of its file tells it."""
    value = block.raw("code")
    if not isinstance(value, dict):
        return block.take("code", text), None
    path = value.get("file")
    if list(value) != ["file"] or not isinstance(path, str) or not path:
        block.report("code", InvalidValue("the code, or a mapping with file: and the path of a file"))
        return UNKNOWN, None
    language = _LANGUAGE_OF_SUFFIX.get(posixpath.splitext(path)[1])
    try:
        return block.context.files.text(path), language
    except DiagnosticsError as problems:
        context = block.context
        context.diagnostics.extend(
            item.at(context.place("code"), str(context.spec.address)) for item in problems.diagnostics
        )
        return UNKNOWN, language


def _inputs(value: Value) -> Value:
    found: dict[str, Value] = {}
    for path, item in mapping(value).items():
        if isinstance(item, Sensitive) or not (isinstance(item, Unknown) or _is_artefact(item)):
            raise InvalidValue(
                f"a mapping of paths to outputs of steps, which {shown(item)} is not",
                code="wrong-type",
                hint="write ${{ step.PIPELINE.STEP.outputs.NAME }}",
            )
        found[clean_path(path)] = item
    return found


def _is_artefact(value: Value) -> bool:
    return isinstance(value, dict) and {"sandbox", "path", "sha256"} <= value.keys()


def _outputs(value: Value) -> Value:
    return {name: inside(item, clean_path) for name, item in mapping(value).items()}


def _contents(inputs: Value) -> Value:
    if not isinstance(inputs, dict):
        return inputs
    return {path: item if isinstance(item, Fingerprint) else lookup(item, ("sha256",)) for path, item in inputs.items()}


def _artefact(value: Value) -> Artefact:
    block = mapping(value)
    size = block.get("size")
    return Artefact(
        sandbox=text(block["sandbox"]),
        address=text(block.get("address")),
        path=text(block["path"]),
        sha256=text(block["sha256"]),
        size=size if isinstance(size, int) else 0,
    )
