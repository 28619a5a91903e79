"""A project beside the project: for each block whose packages are to be resolved, a sandbox with nothing but its base.

It is made of the manifest's own text, so that variables, secrets, loops and templates of the project's own mean what
they mean there. Its objects have names of an environment that nothing else is in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from nexus.kinds.shared_setup import steers_installers
from nexus.manifest import Manifest, Plain
from nexus.model.addresses import Address
from nexus.planning import Demand

_ENOUGH: Final = "15m"
"""How long its sandboxes live, should nobody be left to remove them."""

_KEPT: Final = ("apiVersion", "project", "provider", "variables", "environments", "secrets", "templates")
_LOOPS: Final = ("count", "for_each", "pool", "when")
_BASES: Final = ("base_template", "image", "dockerfile")


@dataclass(frozen=True, slots=True)
class Scratch:
    """``sandboxes`` are the addresses of those to resolve in, by the address of what they stand for."""

    manifest: Manifest
    sandboxes: Mapping[Address, Address]


def scratch(manifest: Manifest, demands: Iterable[Demand]) -> Scratch:
    """The project with a sandbox for each of these demands."""
    sandboxes: dict[str, Plain] = {}
    templates = dict(manifest.section("templates"))
    names: dict[Address, str] = {}
    standing: dict[Address, Address] = {}
    for demand in demands:
        group = demand.address.group
        if group not in names:
            name = names[group] = f"s{len(names)}"
            if group.kind == "sandbox":
                sandboxes[name] = _of_sandbox(_block(manifest, "sandboxes", group))
            else:
                sandboxes[name] = _of_template(_block(manifest, "templates", group), templates)
        standing[demand.address] = Address("sandbox", names[group], demand.address.key)
    kept = {key: value for key, value in manifest.values.items() if key in _KEPT or key.startswith("x-")}
    values: dict[str, Plain] = {**kept, "templates": templates, "sandboxes": sandboxes}
    return Scratch(replace(manifest, values=values, diagnostics=()), standing)


def _block(manifest: Manifest, section: str, group: Address) -> Mapping[str, Plain]:
    block = manifest.section(section)[group.name]
    return block if isinstance(block, dict) else {}


def _of_sandbox(block: Mapping[str, Plain]) -> Plain:
    return _sandbox(block, block.get("template", "base"))


def _of_template(block: Mapping[str, Plain], templates: dict[str, Plain]) -> Plain:
    """A sandbox of what the template builds on; an image has to become a template first."""
    base = next(((name, block[name]) for name in _BASES if block.get(name) is not None), ("base_template", "base"))
    if base[0] == "base_template" and not isinstance(base[1], dict):
        return _sandbox(block, base[1])
    bare = next(name for number in range(len(templates) + 1) if (name := f"t{number}") not in templates)
    templates[bare] = {base[0]: base[1], **_loops(block)}
    return _sandbox(block, f"${{{{ template.{bare} }}}}")


def _sandbox(block: Mapping[str, Plain], template: Plain) -> Plain:
    written = block.get("env_vars")
    env_vars = written if isinstance(written, dict) else {}
    steering = {name: item for name, item in env_vars.items() if steers_installers(name)}
    network = {"network": block["network"]} if "network" in block else {}
    return {"template": template, "timeout": _ENOUGH, "env_vars": steering, **network, **_loops(block)}


def _loops(block: Mapping[str, Plain]) -> dict[str, Plain]:
    return {name: block[name] for name in _LOOPS if name in block}
