"""What sandboxes and templates have in common: the fields that set up what is inside, and the units of that work."""

from __future__ import annotations

from collections.abc import Iterable

from nexus.kinds.base import Field, Unit
from nexus.kinds.packages import LOCK, MANAGERS, PACKAGES_SCHEMA, no_packages
from nexus.kinds.readiness import READY_SCHEMA, read_ready
from nexus.kinds.reading import ENV_NAME, env_vars, text
from nexus.kinds.uploads import UPLOADS_SCHEMA, check_uploads
from nexus.model.changes import Effect, Verb
from nexus.model.values import Attributes, Value, digest, is_wholly_known

ENV_VARS_SCHEMA = {
    "type": "object",
    "propertyNames": {"pattern": f"^{ENV_NAME}$"},
    "additionalProperties": {"type": ["string", "number", "boolean"]},
    "examples": [{"STAGE": "prod"}],
}
_COMMAND = {"type": "string", "minLength": 1}


def setup_fields(effect: Effect) -> tuple[Field, ...]:
    """The fields from ``env_vars`` to ``ready``; ``effect`` is what changing any of them does."""
    return (
        Field(
            name="env_vars",
            read=env_vars,
            schema=ENV_VARS_SCHEMA,
            description="Environment of every process; a sandbox has its template's too, and its own win.",
            effect=effect,
            default={},
            caveat="running processes keep what they have" if effect is Effect.SETUP else "",
        ),
        Field(
            name="packages",
            schema=PACKAGES_SCHEMA,
            description="What to install: lists under pip, npm and apt, or one list whose bare names belong to the "
            "template's language. Installed as root.",
            effect=effect,
            default=no_packages(),
        ),
        Field(
            name="uploads",
            read=check_uploads,
            schema=UPLOADS_SCHEMA,
            description="Files and folders of the project, or content written here. They belong to user.",
            effect=effect,
            default=[],
        ),
        Field(
            name="run_commands",
            schema={"type": "array", "items": _COMMAND, "examples": [["mkdir -p /app/logs"]]},
            description="Commands run once, in order, as root, by bash; the first that fails ends the setup.",
            effect=effect,
            default=[],
        ),
        Field(
            name="startup_script",
            read=text,
            schema=_COMMAND,
            description="A script that runs to its end, as root, once everything else is set up; it must succeed.",
            effect=effect,
        ),
        Field(
            name="start_command",
            read=text,
            schema=_COMMAND,
            description="A command that keeps running, as user.",
            effect=effect,
        ),
        Field(
            name="ready",
            read=read_ready,
            schema=READY_SCHEMA,
            description="How one knows that what was started can be used.",
            effect=effect,
        ),
    )


def setup_units(attributes: Attributes) -> tuple[Unit, ...]:
    """The units of a concealed, normalised sandbox, in the order in which they are done."""
    return (*_content_units(attributes), *_command_units(attributes), *_process_units(attributes))


def _content_units(attributes: Attributes) -> Iterable[Unit]:
    environment, uploads = attributes.get("env_vars"), attributes.get("uploads")
    if environment:
        yield Unit(name="env", verb=Verb.SET_ENV, field="env_vars", digest=known_digest(environment))
    packages = attributes.get("packages")
    lock = packages.get(LOCK) if isinstance(packages, dict) else None
    for manager in MANAGERS:
        # Where not even the managers are known, each of them may have something to install.
        names = packages.get(manager) if isinstance(packages, dict) else packages
        pins = lock.get(manager) if isinstance(lock, dict) else None
        if names:
            content: Value = names if pins is None else [names, pins]
            yield Unit(name=manager, verb=Verb.INSTALL, field="packages", digest=known_digest(content))
    if uploads:
        yield Unit(name="uploads", verb=Verb.UPLOAD, field="uploads", digest=known_digest(uploads))


def _command_units(attributes: Attributes) -> Iterable[Unit]:
    commands, script = attributes.get("run_commands"), attributes.get("startup_script")
    names: list[str] = []
    for index, command in enumerate(commands if isinstance(commands, list) else [commands] if commands else []):
        name = f"run_commands[{index}]"
        yield Unit(
            name=name,
            verb=Verb.RUN_COMMAND,
            field="run_commands",
            digest=known_digest(command),
            rerun_after=tuple(names),
            note=_first_line(command),
        )
        names.append(name)
    if script:
        yield Unit(
            name="startup_script",
            verb=Verb.RUN_COMMAND,
            field="startup_script",
            digest=known_digest(script),
            rerun_after=tuple(names),
        )


def _process_units(attributes: Attributes) -> Iterable[Unit]:
    start, ready = attributes.get("start_command"), attributes.get("ready")
    if start:
        yield Unit(
            name="start",
            verb=Verb.START,
            field="start_command",
            digest=known_digest([start, attributes.get("user")]),
            note=_first_line(start),
        )
    if ready:
        yield Unit(
            name="ready",
            verb=Verb.AWAIT_READY,
            field="ready",
            digest=known_digest(ready),
            rerun_after=("start",) if start else (),
        )


def known_digest(value: Value) -> str | None:
    """Digest of a concealed value, or None while something in it is unknown."""
    return digest(value) if is_wholly_known(value) else None


def _first_line(value: Value) -> str:
    if not isinstance(value, str):
        return ""
    line = value.strip().partition("\n")[0]
    return line if len(line) <= 60 else f"{line[:57]}…"
