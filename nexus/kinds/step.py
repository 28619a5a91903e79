"""Steps of pipelines: code that runs in a sandbox when what it is made of changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus.kinds.base import Normalising, Unit
from nexus.kinds.block import Block
from nexus.kinds.conflicts import conflicts, inferred_language
from nexus.kinds.durations import parse_duration
from nexus.kinds.identity import instance_of, kind_of
from nexus.kinds.own_sandbox import decode_own, normalise_own
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    mapping,
    shown,
    text,
)
from nexus.kinds.sandbox import SandboxSpec
from nexus.kinds.setup import known_digest
from nexus.kinds.step_fields import DEFAULT_BACKOFF, DEFAULT_TIMEOUT, FIELDS, Language, RunOn
from nexus.model.changes import Verb
from nexus.model.diagnostics import DiagnosticsError
from nexus.model.expressions import Expression
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Fingerprint, Unknown, Value, digest, is_wholly_known, lookup


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
    """A step as it should run. ``inputs`` are artefacts by path where they are wanted; times count seconds.

    ``own`` is the sandbox that is made for it alone; then there is no id and no address of another. ``backoff`` is the
    pause before the first of its ``retries``, and twice as long before each that follows. ``cache``: an earlier run of
    the same, wherever it was, stands for this one.
    """

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
    backoff: int = DEFAULT_BACKOFF
    on: RunOn = RunOn.CHANGE
    own: SandboxSpec | None = None
    cache: bool = False


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
            "env_vars": block.take("env_vars"),
            "working_dir": block.take("working_dir"),
            "stdin": block.take("stdin"),
            "user": block.take("user") if block.has("user") else sandbox_user,
            "inputs": block.take("inputs"),
            "outputs": block.take("outputs"),
            "timeout": block.take("timeout"),
            "retries": block.take("retries"),
            "on": block.take("on"),
            # Left out where it says nothing new, so that states from before it was there still say the same.
            **({"cache": True} if block.take("cache") is True else {}),
        }

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:
        """One, ``run``. Of its inputs the content counts, of its sandbox the identity; of one of its own, what it is
        made from."""
        sandbox = attributes["sandbox"]
        own = isinstance(sandbox, dict) and "template" in sandbox
        ingredients = _ingredients(attributes, sandbox if own else lookup(sandbox, ("id",)))
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
        retries, backoff = _retries(attributes["retries"])
        is_own = isinstance(sandbox, dict) and "template" in sandbox
        return StepSpec(
            sandbox_id="" if is_own else text(lookup(sandbox, ("id",))),
            sandbox_address="" if is_own else text(lookup(sandbox, ("address",))),
            own=decode_own(mapping(sandbox)) if is_own else None,
            cache=attributes.get("cache") is True,
            language=Language(text(attributes["language"])),
            code=text(attributes["code"]),
            env_vars={name: as_text(item) for name, item in mapping(attributes["env_vars"]).items()},
            working_dir=None if working_dir is None else text(working_dir),
            stdin=None if stdin is None else as_text(stdin),
            user=text(attributes["user"]),
            inputs={path: _artefact(item) for path, item in mapping(attributes["inputs"]).items()},
            outputs={name: text(item) for name, item in mapping(attributes["outputs"]).items()},
            timeout=parse_duration(attributes["timeout"]),
            retries=retries,
            backoff=backoff,
            on=RunOn(text(attributes["on"])),
        )


def content_key(attributes: Attributes, sandbox: Value) -> str | None:
    """What two runs of steps have in common that are the same, wherever they are: their ingredients, and the content
    of the sandbox instead of its id. None while something is not known. Of secrets it holds fingerprints.
    """
    ingredients = _ingredients(attributes, sandbox)
    return digest(ingredients, 64) if is_wholly_known(ingredients) else None


def _ingredients(attributes: Attributes, sandbox: Value) -> dict[str, Value]:
    found: dict[str, Value] = {name: attributes[name] for name in _INGREDIENTS}
    return {**found, "inputs": _contents(attributes["inputs"]), "sandbox": sandbox}


def _retries(value: Value) -> tuple[int, int]:
    match value:
        case {"count": int(count), "backoff": int(backoff)}:
            return count, backoff
        case int():
            return value, DEFAULT_BACKOFF
        case _:
            return 0, DEFAULT_BACKOFF


def _sandbox(block: Block) -> tuple[Value, Value]:
    """``{"address", "id"}`` of the sandbox, or the fields of one of its own; and who steps in it run as by default."""
    value = instance_of(block.raw("sandbox"), block.context.spec.each)
    written = block.context.spec.attributes.get("sandbox")
    match value:
        case Unknown():
            return UNKNOWN, UNKNOWN
        case dict() if kind_of(value) == "sandbox":
            return {"address": value["address"], "id": value.get("id", UNKNOWN)}, value.get("user", "user")
        case dict() if "address" not in value and not isinstance(written, Expression):
            own = normalise_own(value, block.context)
            return dict(own), own["user"]
        case None:
            block.fail("sandbox", "missing-field", "The step does not say in which sandbox it runs")
        case _:
            block.report("sandbox", InvalidValue(f"a sandbox of this project, not {shown(value)}", code="wrong-type"))
    return UNKNOWN, UNKNOWN


def _code(block: Block) -> tuple[Value, Value]:
    """Language and text of what runs."""
    found = list(conflicts("step", block.attributes))
    block.refuse_conflicts(found)
    if block.has("run"):
        return Language.BASH.value, block.take("run")
    if not block.has("code"):
        return UNKNOWN, UNKNOWN
    inferred = inferred_language(block.raw("code"))
    return block.take("language") if block.has("language") else inferred or UNKNOWN, _content(block)


def _content(block: Block) -> Value:
    """The text of the field code, read from its file where it names one."""
    value = block.raw("code")
    if not isinstance(value, dict):
        return block.take("code", text)
    path = value.get("file")
    if list(value) != ["file"] or not isinstance(path, str) or not path:
        block.report("code", InvalidValue("the code, or a mapping with file: and the path of a file"))
        return UNKNOWN
    try:
        return block.context.files.text(path)
    except DiagnosticsError as problems:
        block.adopt("code", problems)
        return UNKNOWN


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
