"""Which blocks of sandboxes share their setup: what all instances do alike becomes an implicit resource they need."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from nexus.graph.desired import Inputs
from nexus.graph.edges import EdgeFinder, Family
from nexus.graph.static import static_value, uses_each
from nexus.kinds.shared_setup import LEAST, SHARED_FIELDS, SURROUNDINGS, setup_address, steers_installers
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics, error
from nexus.model.expressions import Raw
from nexus.model.resources import ResourceSpec

SETUP: Final = "setup"
"""The field of a sandbox that says how it is set up: ``shared``, ``each``, or whatever pays."""

_HEAVY: Final = ("packages", "run_commands")
"""Fields whose work takes longer than a snapshot."""

_WORTH_A_SNAPSHOT: Final = 3
"""New instances from which on sharing pays by itself: a snapshot takes about as long as a setup or two."""
_ASKED_FOR: Final = 2
_IN_A_POOL: Final = 1
"""There, one is made after the other, each in the place of one that was taken."""


@dataclass(slots=True)
class Sharing:
    """Finds the shared setups of one graph."""

    families: Mapping[Address, Family]
    inputs: Inputs
    diagnostics: Diagnostics

    def setups(self) -> dict[Address, ResourceSpec]:
        """The implicit resources, by the addresses of the blocks that they are made for."""
        found: dict[Address, ResourceSpec] = {}
        for address, family in self.families.items():
            if address.kind == "sandbox" and family.expanded and family.enabled:
                spec = self._setup(family)
                if spec is not None:
                    found[address] = spec
        return found

    def _setup(self, family: Family) -> ResourceSpec | None:
        block = family.block
        raw = block.meta.get(SETUP)
        mode = None if raw is None else static_value(raw, None, self.inputs, block, SETUP, self.diagnostics)
        if mode == "each":
            return None
        alike = _alike(family.attributes)
        if mode == "shared" and not alike:
            self._refuse(family)
        if not any(alike.get(name) for name in (SHARED_FIELDS if mode == "shared" else _HEAVY)):
            return None
        needs = self._needs(family, alike)
        if any(need.group == block.address for need in needs):
            return None  # an instance that needs another one of them can't wait for what that one waits for
        least = _IN_A_POOL if family.pool else _ASKED_FOR if mode == "shared" else _WORTH_A_SNAPSHOT
        return ResourceSpec(
            address=setup_address(block.address),
            attributes={**alike, LEAST: least},
            depends_on=needs,
            source=block.source,
            field_sources=block.field_sources,
        )

    def _needs(self, family: Family, alike: Mapping[str, Raw]) -> tuple[Address, ...]:
        """What the shared fields need. What is wrong with them has been said of the sandboxes already."""
        finder = EdgeFinder(self.families, self.inputs, Diagnostics())
        return tuple(finder.of_block(replace(family, attributes=alike), None).fixed)

    def _refuse(self, family: Family) -> None:
        block = family.block
        self.diagnostics.add(
            error(
                "nothing-to-share",
                "The instances have no setup that could be shared",
                detail="What uses each.key or each.value, and what comes after it, differs between them.",
                hint="take setup: shared away, or give all instances the same packages, uploads and run_commands",
                address=str(block.address),
                range=block.place(SETUP),
            )
        )


def _alike(attributes: Mapping[str, Raw]) -> dict[str, Raw]:
    """The fields that are the same in all instances and may be done before any of them exists; empty if none may."""
    differing = {name for name, raw in attributes.items() if uses_each(raw)}
    if differing & {"template", "user", "network"}:
        return {}
    env_vars = attributes.get("env_vars")
    if "env_vars" in differing and (not isinstance(env_vars, dict) or any(map(steers_installers, env_vars))):
        return {}
    shared = {name for name in SHARED_FIELDS if name in attributes and name not in differing}
    if {"packages", "uploads"} & differing or "env_vars" in differing:
        shared.discard("run_commands")
    if attributes.get("volumes"):
        shared &= {"packages"}  # the others may lie in a volume, which the snapshot has not
    if not shared:
        return {}
    kept = shared | (set(SURROUNDINGS) - differing)
    return {name: raw for name, raw in attributes.items() if name in kept}
