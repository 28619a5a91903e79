"""Templates: images of sandboxes, built by E2B from what their block says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nexus.kinds.base import Normalising, Unit
from nexus.kinds.bases import BaseSpec, base_from, read_base
from nexus.kinds.block import Block
from nexus.kinds.naming import e2b_name
from nexus.kinds.packages import PackageSet, packages_from, read_packages
from nexus.kinds.pinning import pinned
from nexus.kinds.readiness import ReadySpec, ready_from
from nexus.kinds.reading import (
    as_text,
    mapping,
    sequence,
    text,
)
from nexus.kinds.template_fields import FIELDS, PROMOTED_FROM, SPEC_TAG, read_tag
from nexus.kinds.uploads import UploadSpec, read_uploads, uploads_from
from nexus.model.diagnostics import error
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Value, conceal, digest, has_sensitive, is_wholly_known

BUILD_INPUTS: Final = (
    "base_template",
    "packages",
    "env_vars",
    "uploads",
    "run_commands",
    "startup_script",
    "start_command",
    "ready",
    "user",
    "cpu",
    "memory",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateSpec:
    """A build as E2B's builder wants it. ``memory`` is in MiB; None leaves it to E2B, as it does ``cpu``.

    ``tag`` names the build among those of ``name``; ``tags`` are the user's own.
    """

    name: str
    tag: str
    base: BaseSpec
    language: str
    packages: PackageSet
    env_vars: Mapping[str, str]
    uploads: tuple[UploadSpec, ...]
    run_commands: tuple[str, ...]
    startup_script: str | None
    start_command: str | None
    ready: ReadySpec | None
    user: str
    cpu: int | None
    memory: int | None
    tags: tuple[str, ...] = ()
    public: bool = False

    @property
    def reference(self) -> str:
        """What a sandbox is created from: ``name:tag``."""
        return f"{self.name}:{self.tag}"


class TemplateKind:
    """The kind ``template``."""

    name = "template"
    section = "templates"
    fields = tuple(FIELDS.values())

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """See :class:`nexus.kinds.base.Kind`. ``attributes`` are not concealed: the sandboxes need the environment."""
        block = Block(attributes, FIELDS, context)
        name = e2b_name(context.project, context.environment, context.spec.address)
        base = read_base(block)
        own_env = block.take("env_vars")
        user = block.take("user")
        found: dict[str, Value] = {
            "address": str(context.spec.address),
            "name": name,
            "language": base.language,
            "base_template": base.value,
            "packages": pinned(
                block, block.take("packages", lambda value: read_packages(value, base.language)), base.word
            ),
            "env_vars": {**base.env_vars, **own_env} if isinstance(own_env, dict) else own_env,
            "uploads": read_uploads(block, user),
            "run_commands": block.each("run_commands", text),
            "startup_script": block.take("startup_script"),
            "start_command": block.take("start_command"),
            "ready": block.take("ready"),
            "user": user,
            "cpu": block.take("cpu"),
            "memory": block.take("memory"),
            "tags": _sorted(block.each("tags", read_tag)),
            "public": block.take("public"),
            PROMOTED_FROM.name: block.take(PROMOTED_FROM.name),
        }
        _refuse_secrets(attributes, context)
        found["reference"] = reference(name, found, context)
        return found

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:  # noqa: ARG002 - a build is one operation
        return ()

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        same_build = record is not None and record.attributes.get("reference") == attributes["reference"]
        return {
            "address": attributes["address"],
            "name": attributes["name"],
            "reference": attributes["reference"],
            "language": attributes["language"],
            "env_vars": attributes["env_vars"],
            "id": record.id if record is not None else UNKNOWN,
            "build_id": record.outputs.get("build_id", UNKNOWN) if record is not None and same_build else UNKNOWN,
        }

    def decode(self, attributes: Attributes) -> TemplateSpec:
        return template_from(attributes)


def reference(name: str, attributes: Attributes, context: Normalising) -> Value:
    """``name:spec-…`` of the build that these attributes ask for; UNKNOWN while one of its inputs is."""
    wanted = {field: attributes[field] for field in BUILD_INPUTS}
    inputs = conceal({**wanted, "env_vars": build_env_vars(wanted["env_vars"])}, context.fingerprint)
    return f"{name}:{SPEC_TAG}{digest(inputs, 12)}" if is_wholly_known(inputs) else UNKNOWN


def build_env_vars(env_vars: Value) -> Value:
    """The variables that a build sees. Secret ones are left to the sandboxes: a build would keep them for good."""
    if not isinstance(env_vars, dict):
        return env_vars
    return {name: value for name, value in env_vars.items() if not has_sensitive(value)}


def _refuse_secrets(attributes: Attributes, context: Normalising) -> None:
    for field in BUILD_INPUTS:
        if field != "env_vars" and has_sensitive(attributes.get(field)):
            context.diagnostics.add(
                error(
                    "secret-in-template",
                    "A secret would become part of a template",
                    detail=f"{field} is built into the template, where everyone who uses it can read the secret.",
                    hint="use it in the sandboxes: in env_vars (a template's too), uploads or run_commands",
                    address=str(context.spec.address),
                    range=context.place(field),
                )
            )


def template_from(attributes: Attributes) -> TemplateSpec:
    """The typed form of known, revealed, normalised attributes."""
    name, _, tag = str(attributes["reference"]).rpartition(":")
    cpu, memory = attributes["cpu"], attributes["memory"]
    return TemplateSpec(
        name=name,
        tag=tag,
        base=base_from(attributes["base_template"]),
        language=str(attributes["language"]),
        packages=packages_from(attributes["packages"]),
        env_vars={key: as_text(item) for key, item in mapping(attributes["env_vars"]).items()},
        uploads=uploads_from(attributes["uploads"]),
        run_commands=tuple(text(item) for item in sequence(attributes["run_commands"])),
        startup_script=optional_text(attributes["startup_script"]),
        start_command=optional_text(attributes["start_command"]),
        ready=ready_from(attributes["ready"]),
        user=str(attributes["user"]),
        cpu=cpu if isinstance(cpu, int) else None,
        memory=memory if isinstance(memory, int) else None,
        tags=tuple(str(tag) for tag in sequence(attributes["tags"])),
        public=attributes["public"] is True,
    )


def optional_text(value: Value) -> str | None:
    return None if value is None else text(value)


def _sorted(value: Value) -> Value:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [*sorted({str(item) for item in value})]
    return value
