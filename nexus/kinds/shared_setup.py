"""Setups that sandboxes share: done once, in a sandbox that is for nothing else, and kept as a snapshot.

Implicit resources, like the catalogue's: the graph has one for each block of sandboxes whose setup says the same in all
instances. New instances may then be made from the snapshot. What changes in a sandbox that exists is done inside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

from nexus.kinds.base import Field, Normalising, Unit
from nexus.kinds.naming import e2b_name
from nexus.kinds.packages import no_packages
from nexus.kinds.sandbox import SandboxKind, SandboxSpec
from nexus.kinds.sandbox_fields import FIELDS as SANDBOX_FIELDS
from nexus.kinds.setup import setup_units
from nexus.kinds.template_fields import SPEC_TAG
from nexus.model.addresses import NAME, Address
from nexus.model.changes import Effect, Verb
from nexus.model.diagnostics import Diagnostics
from nexus.model.state import ResourceRecord
from nexus.model.values import UNKNOWN, Attributes, Value, digest, has_sensitive, is_wholly_known

KIND: Final = "setup"
SHARED_FIELDS: Final = ("packages", "uploads", "run_commands")
"""What is done once for all. A startup_script and a start_command belong to each sandbox: they may leave processes."""

SURROUNDINGS: Final = ("template", "user", "env_vars", "network")
"""What the shared work is done in."""

LEAST: Final = "least"
"""The attribute that says from how many new instances on sharing pays."""

_INPUTS: Final = (*SURROUNDINGS, *SHARED_FIELDS)
_STEERS_INSTALLERS: Final = re.compile(r"(?i)(pip|uv|npm|node|apt|ssl|curl|requests|git)_|.*proxy$")
"""Variables that decide what an installer fetches, and from where."""


def setup_address(sandbox: Address) -> Address:
    """The shared setup of the block that ``sandbox`` is an instance of."""
    return Address(KIND, sandbox.name)


def setup_name(project: str, environment: str, address: Address) -> str:
    """What the snapshots of a shared setup are called in the account, which knows only lower case."""
    name = address.name
    told_apart = name if name == name.lower() else f"{name}-{digest(name, 8)}"
    return f"nexus-setup--{e2b_name(project, environment, replace(address, name=told_apart))}"


def setup_of_name(project: str, environment: str, name: str) -> Address | None:
    """The shared setup whose snapshots are called so; None for what is, or may be, another project's."""
    prefix = setup_name(project, environment, Address(KIND, ""))
    last = name.removeprefix(prefix)
    is_ours = name.startswith(prefix) and re.fullmatch(NAME, last) and "--" not in last
    return Address(KIND, last) if is_ours else None


def steers_installers(variable: str) -> bool:
    """Whether packages must not be installed without this variable."""
    return _STEERS_INSTALLERS.match(variable) is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetupSpec:
    """``sandbox`` is the one that the work is done in; the snapshot of it is called ``name:tag``."""

    name: str
    tag: str
    sandbox: SandboxSpec

    @property
    def reference(self) -> str:
        return f"{self.name}:{self.tag}"


class SharedSetupKind:
    """The kind ``setup``. It has no section: its blocks are parts of those of sandboxes."""

    name = KIND
    section = ""
    fields: tuple[Field, ...] = tuple(
        replace(SANDBOX_FIELDS[name], effect=Effect.REBUILD, caveat="") for name in _INPUTS
    )

    def __init__(self) -> None:
        self._sandboxes = SandboxKind()

    def normalise(self, attributes: Attributes, context: Normalising) -> Attributes:
        """What is wrong with the fields is said of the sandboxes, and not once more here."""
        written = {name: value for name, value in attributes.items() if name != LEAST}
        quiet = replace(context, diagnostics=Diagnostics())
        whole = self._sandboxes.normalise(written, quiet)
        context.trees.update(quiet.trees)
        name = setup_name(context.project, context.environment, context.spec.address)
        found = {**{field: whole[field] for field in _INPUTS}, **_without_secrets(whole)}
        wanted: dict[str, Value] = {field: found[field] for field in _INPUTS}
        reference: Value = f"{name}:{SPEC_TAG}{digest(wanted, 12)}" if is_wholly_known(wanted) else UNKNOWN
        return {
            "address": str(context.spec.address),
            "name": name,
            "reference": reference,
            **found,
            LEAST: attributes.get(LEAST),
        }

    def units(self, attributes: Attributes) -> tuple[Unit, ...]:
        return tuple(unit for unit in setup_units(attributes) if unit.verb is not Verb.SET_ENV)

    def outputs(self, attributes: Attributes, record: ResourceRecord | None) -> Attributes:
        shown = {name: attributes.get(name, UNKNOWN) for name in ("address", "name", "reference")}
        return {**shown, "id": UNKNOWN if record is None else record.id}

    def decode(self, attributes: Attributes) -> SetupSpec:
        name, _, tag = str(attributes["reference"]).rpartition(":")
        defaults = {name: field.default for name, field in SANDBOX_FIELDS.items() if not field.meta}
        work = {field: attributes[field] for field in _INPUTS}
        return SetupSpec(name=name, tag=tag, sandbox=self._sandboxes.decode({**defaults, **work}))


def _without_secrets(whole: Attributes) -> dict[str, Value]:
    """The fields as they may become part of a snapshot: without secrets, and without what needs these."""
    kept: dict[str, Value] = {}
    env_vars = whole["env_vars"]
    secret = [name for name, value in env_vars.items() if has_sensitive(value)] if isinstance(env_vars, dict) else []
    if secret and isinstance(env_vars, dict):
        kept["env_vars"] = {name: value for name, value in env_vars.items() if name not in secret}
        kept["run_commands"] = []
    if has_sensitive(whole["packages"]) or any(map(steers_installers, secret)):
        kept.update(packages=no_packages(), run_commands=[])
    if has_sensitive(whole["uploads"]):
        kept.update(uploads=[], run_commands=[])
    if has_sensitive(whole["run_commands"]):
        kept["run_commands"] = []
    return kept
