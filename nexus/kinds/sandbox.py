"""Sandboxes: E2B's machines, and what is set up inside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus.kinds.base import Normalising, Unit
from nexus.kinds.bases import Base, template_base
from nexus.kinds.block import Block
from nexus.kinds.conflicts import conflicts
from nexus.kinds.durations import DAY, format_duration, parse_duration
from nexus.kinds.identity import instance_of
from nexus.kinds.network import NetworkSpec, network_from
from nexus.kinds.packages import PackageSet, packages_from, read_packages
from nexus.kinds.pinning import pinned
from nexus.kinds.readiness import ReadySpec, ready_from
from nexus.kinds.reading import (
    InvalidValue,
    as_text,
    boolean,
    mapping,
    sequence,
    text,
)
from nexus.kinds.sandbox_fields import FIELDS, read_volumes
from nexus.kinds.setup import setup_units
from nexus.kinds.template import optional_text
from nexus.kinds.uploads import UploadSpec, read_uploads, uploads_from
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Unknown, Value


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


class SandboxKind:
    """The kind ``sandbox``."""

    name = "sandbox"
    section = "sandboxes"
    fields = tuple(FIELDS.values())

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """See :class:`nexus.kinds.base.Kind`. ``template`` may be a template's outputs, and so may volumes."""
        block = Block(attributes, FIELDS, context)
        base = _template(block)
        user = block.take("user")
        found: dict[str, Value] = {
            "address": str(context.spec.address),
            "template": base.value,
            "timeout": _bounded(block.take("timeout"), context.longest_life),
            "on_timeout": block.take("on_timeout"),
            "auto_resume": block.take("auto_resume"),
            "user": user,
            "env_vars": _environment(base, block.take("env_vars")),
            "packages": pinned(
                block, block.take("packages", lambda value: read_packages(value, base.language)), base.word
            ),
            "uploads": read_uploads(block, user),
            "run_commands": block.each("run_commands", text),
            "startup_script": block.take("startup_script"),
            "start_command": block.take("start_command"),
            "ready": block.take("ready"),
            "network": block.take("network"),
            "volumes": block.take("volumes", lambda value: read_volumes(value, context.spec.each)),
            "ports": block.take("ports"),
            "metadata": block.take("metadata"),
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


def _bounded(timeout: Value, longest: int | None) -> Value:
    """The timeout, or what the environment as a whole has left for it."""
    return min(timeout, longest) if isinstance(timeout, int) and longest is not None else timeout


def _check_lifetime(found: Attributes, block: Block) -> None:
    block.refuse_conflicts(conflicts("sandbox", found))
    timeout = found["timeout"]
    if isinstance(timeout, int) and timeout > DAY:
        block.warn(
            "timeout",
            "long-timeout",
            "The timeout is longer than E2B allows",
            detail=f"{format_duration(timeout)} is more than the 24 hours of E2B's largest plan.",
            hint="use at most 24h, and on_timeout: pause to keep what is in the sandbox",
        )
    _check_age(found, block)


def _check_age(found: Attributes, block: Block) -> None:
    """A member of a pool that gets too old only once it has ended is never replaced before."""
    pool, timeout = block.context.spec.pool, found["timeout"]
    if pool is None or pool.max_age is None or not isinstance(timeout, int) or found["on_timeout"] != "kill":
        return
    if pool.max_age >= timeout:
        block.fail(
            "pool",
            "conflicting-fields",
            "pool.max_age has to be less than timeout",
            detail=f"Sandboxes of this pool end after {format_duration(timeout)}, before they are replaced.",
            hint="make max_age shorter by a few of the intervals at which applies are made, or timeout longer",
        )


def _texts(value: Value) -> dict[str, str]:
    return {name: as_text(item) for name, item in mapping(value).items()}


def _numbers(value: Value) -> dict[str, int]:
    return {name: item for name, item in mapping(value).items() if isinstance(item, int)}
