"""Sandboxes: E2B's machines, and what is set up inside them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus.kinds.base import Field, Normalising, Unit
from nexus.kinds.bases import Base, template_base
from nexus.kinds.block import Block, table
from nexus.kinds.durations import DAY, DURATION_SCHEMA, format_duration, parse_duration
from nexus.kinds.identity import ADDRESS, instance_of, kind_of
from nexus.kinds.meta import with_meta
from nexus.kinds.network import NETWORK_SCHEMA, NetworkSpec, network_from, open_network, read_network
from nexus.kinds.packages import PackageSet, packages_from, read_packages
from nexus.kinds.readiness import PORT_SCHEMA, ReadySpec, read_ready, ready_from
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    boolean,
    env_vars,
    folder_path,
    inside,
    integer,
    line,
    mapping,
    one_of,
    sequence,
    shown,
    text,
    user_name,
)
from nexus.kinds.setup import setup_fields, setup_units
from nexus.kinds.template import optional_text
from nexus.kinds.uploads import UploadSpec, read_uploads, uploads_from
from nexus.model.addresses import NAME
from nexus.model.changes import Effect
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Sensitive, Unknown, Value

ENVD_PORT = 49983
RESERVED_METADATA = "nexus."
DEFAULT_TIMEOUT = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A sandbox as it should be. ``timeout`` is in seconds; ``volumes`` are E2B names by path, ``ports`` by name."""

    template: str
    timeout: int
    on_timeout: str = "kill"
    auto_resume: bool = False
    user: str = "user"
    env_vars: Mapping[str, str] = field(default_factory=dict)
    packages: PackageSet = field(default_factory=PackageSet)
    uploads: tuple[UploadSpec, ...] = ()
    run_commands: tuple[str, ...] = ()
    startup_script: str | None = None
    start_command: str | None = None
    ready: ReadySpec | None = None
    network: NetworkSpec = field(default_factory=NetworkSpec)
    volumes: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)


_PERCENT = {"type": "integer", "minimum": 1, "maximum": 100}
FIELDS = table(
    ADDRESS,
    *with_meta(
        Field(
            name="template",
            schema={
                "type": "string",
                "minLength": 1,
                "examples": ["python", "${{ template.ml-research }}"],
            },
            description="What it is made from: a name of the catalogue, a template of E2B's, or one declared here.",
            effect=Effect.REPLACE,
            default="base",
        ),
        Field(
            name="timeout",
            schema=DURATION_SCHEMA,
            description="How long it lives after it was made or extended.",
            effect=Effect.IN_PLACE,
            default=DEFAULT_TIMEOUT,
        ),
        Field(
            name="on_timeout",
            schema={"enum": ["kill", "pause"]},
            description="What happens when its time is up: it goes, or it is kept, paused.",
            effect=Effect.REPLACE,
            default="kill",
        ),
        Field(
            name="auto_resume",
            schema={"type": "boolean"},
            description="Whether a request wakes it when it is paused; only with on_timeout: pause.",
            effect=Effect.REPLACE,
            default=False,
        ),
        Field(
            name="user",
            schema={"type": "string", "minLength": 1},
            description="Who start_command, steps and exec run as, and uploads belong to.",
            effect=Effect.SETUP,
            default="user",
        ),
        *setup_fields(Effect.SETUP),
        Field(
            name="network",
            schema=NETWORK_SCHEMA,
            description="What it may reach. Without the internet, or where domains are allowed, only what is allowed.",
            effect=Effect.IN_PLACE,
            default=open_network(),
        ),
        Field(
            name="volumes",
            schema={
                "type": "object",
                "propertyNames": {"pattern": "^/"},
                "additionalProperties": {"type": "string", "minLength": 1},
                "examples": [{"/data": "${{ volume.datasets }}"}],
            },
            description="Volumes by the absolute path at which they are mounted.",
            effect=Effect.REPLACE,
            default={},
        ),
        Field(
            name="ports",
            schema={
                "type": "object",
                "propertyNames": {"pattern": f"^{NAME}$"},
                "additionalProperties": PORT_SCHEMA,
                "examples": [{"api": 8000}],
            },
            description="Ports by name: each gives a URL, as in ${{ sandbox.web.urls.api }}.",
            default={},
        ),
        Field(
            name="metadata",
            schema={
                "type": "object",
                "additionalProperties": {"type": ["string", "number", "boolean"]},
                "examples": [{"team": "data"}],
            },
            description="Labels that E2B keeps with it. Keys that begin with nexus. are nexus' own.",
            effect=Effect.REPLACE,
            default={},
        ),
        Field(
            name="alerts",
            schema={
                "type": "object",
                "properties": {name: _PERCENT for name in ("cpu", "memory", "disk")},
                "additionalProperties": False,
                "examples": [{"cpu": 90, "memory": 90, "disk": 80}],
            },
            description="Percentages of use above which status and drift warn.",
            default={},
        ),
    ),
)


class SandboxKind:
    """The kind ``sandbox``."""

    name = "sandbox"
    section = "sandboxes"
    fields = tuple(FIELDS.values())

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """See :class:`nexus.kinds.base.Kind`. ``template`` may be a template's outputs, and so may volumes."""
        block = Block(attributes, FIELDS, context)
        base = _template(block)
        user = block.take("user", user_name)
        found: dict[str, Value] = {
            "address": str(context.spec.address),
            "template": base.value,
            "timeout": block.take("timeout", parse_duration),
            "on_timeout": block.take("on_timeout", one_of("kill", "pause")),
            "auto_resume": block.take("auto_resume", boolean),
            "user": user,
            "env_vars": _environment(base, block.take("env_vars", env_vars)),
            "packages": block.take("packages", lambda value: read_packages(value, base.language)),
            "uploads": read_uploads(block, user),
            "run_commands": block.each("run_commands", text),
            "startup_script": block.take("startup_script", text),
            "start_command": block.take("start_command", text),
            "ready": block.take("ready", read_ready),
            "network": block.take("network", read_network),
            "volumes": block.take("volumes", lambda value: _volumes(value, context)),
            "ports": block.take("ports", _ports),
            "metadata": block.take("metadata", _metadata),
            "alerts": block.take("alerts", _alerts),
        }
        _check_lifetime(found, block)
        return found

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:
        return setup_units(attributes)

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        ports = attributes["ports"]
        recorded = {} if record is None else dict(record.outputs)
        urls = recorded.get("urls")
        known_urls = (
            urls if isinstance(urls, dict) and record is not None and record.attributes.get("ports") == ports else {}
        )
        return {
            **recorded,
            **{name: attributes[name] for name in ("address", "template", "timeout", "user", "ports", "metadata")},
            "id": UNKNOWN if record is None else record.id,
            "urls": {name: known_urls.get(name, UNKNOWN) for name in ports} if isinstance(ports, dict) else UNKNOWN,
        }

    def decode(self, attributes: Attributes) -> SandboxSpec:
        return SandboxSpec(
            template=text(attributes["template"]),
            timeout=parse_duration(attributes["timeout"]),
            on_timeout=text(attributes["on_timeout"]),
            auto_resume=boolean(attributes["auto_resume"]),
            user=text(attributes["user"]),
            env_vars=_texts(attributes["env_vars"]),
            packages=packages_from(attributes["packages"]),
            uploads=uploads_from(attributes["uploads"]),
            run_commands=tuple(text(item) for item in sequence(attributes["run_commands"])),
            startup_script=optional_text(attributes["startup_script"]),
            start_command=optional_text(attributes["start_command"]),
            ready=ready_from(attributes["ready"]),
            network=network_from(attributes["network"]),
            volumes=_texts(attributes["volumes"]),
            ports=_numbers(attributes["ports"]),
            metadata=_texts(attributes["metadata"]),
            alerts=_numbers(attributes["alerts"]),
        )


def _template(block: Block) -> Base:
    value = block.raw("template")
    try:
        return template_base(instance_of("base" if value is None else value, block.context.spec.each))
    except InvalidValue as problem:
        block.report("template", problem)
        return Base(UNKNOWN, UNKNOWN)


def _environment(base: Base, own: Value) -> Value:
    """A template's variables end with its build, so sandboxes carry them; what comes from nowhere known is unknown."""
    if isinstance(base.value, Unknown) and not base.env_vars and isinstance(base.language, Unknown):
        return UNKNOWN
    return {**base.env_vars, **own} if isinstance(own, dict) else own


def _check_lifetime(found: Attributes, block: Block) -> None:
    if found["auto_resume"] is True and found["on_timeout"] == "kill":
        block.fail(
            "auto_resume",
            "conflicting-fields",
            "auto_resume needs on_timeout: pause",
            detail="A sandbox that is killed when its time is up can't be resumed.",
            hint="add on_timeout: pause",
        )
    timeout = found["timeout"]
    if isinstance(timeout, int) and timeout > DAY:
        block.warn(
            "timeout",
            "long-timeout",
            "The timeout is longer than E2B allows",
            detail=f"{format_duration(timeout)} is more than the 24 hours of E2B's largest plan.",
            hint="use at most 24h, and on_timeout: pause to keep what is in the sandbox",
        )


def _volumes(value: Value, context: Normalising) -> Value:
    found: dict[str, Value] = {}
    for path, item in mapping(value).items():
        mount = folder_path(path)
        if mount == "/" or mount in found:
            raise InvalidValue(f"mounted at folders of their own, not at {shown(path)}")
        found[mount] = _volume(instance_of(item, context.spec.each))
    return found


def _volume(value: Value) -> Value:
    match value:
        case Unknown():
            return UNKNOWN
        case dict() if kind_of(value) == "volume":
            return value.get("name", UNKNOWN)
        case str() if re.fullmatch(r"[A-Za-z0-9_-]+", value):
            return value
        case _:
            raise InvalidValue(f"a mapping of paths to volumes, which {shown(value)} is not")


def _ports(value: Value) -> Value:
    found: dict[str, Value] = {}
    for name, item in mapping(value).items():
        if not re.fullmatch(NAME, name):
            raise InvalidValue(f"named with letters, digits, _ and -, unlike {shown(name)}", code="invalid-name")
        port = inside(item, integer(1, 65535))
        if isinstance(port, Sensitive):
            raise InvalidValue("written without secrets")
        if port == ENVD_PORT:
            raise InvalidValue(f"other than {ENVD_PORT}, which is E2B's own")
        found[name] = port
    return found


def _metadata(value: Value) -> Value:
    found: dict[str, Value] = {}
    for key, item in mapping(value).items():
        if key.startswith(RESERVED_METADATA):
            raise InvalidValue(f"without {shown(key)}: keys that begin with {RESERVED_METADATA} are nexus' own")
        if isinstance(item, Sensitive):
            raise InvalidValue(f"free of secrets, unlike {shown(key)}: everyone with the account sees metadata")
        found[line(key)] = inside(item, as_text)
    return found


def _alerts(value: Value) -> Value:
    for name in mapping(value):
        one_of("cpu", "memory", "disk")(name)
    return {name: inside(item, integer(1, 100)) for name, item in mapping(value).items() if item is not None}


def _texts(value: Value) -> dict[str, str]:
    return {name: as_text(item) for name, item in mapping(value).items()}


def _numbers(value: Value) -> dict[str, int]:
    return {name: item for name, item in mapping(value).items() if isinstance(item, int)}
