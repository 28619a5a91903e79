"""Desired resources: what the manifest asks for, one per instance, before their expressions are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from nexus.model.addresses import Address
from nexus.model.diagnostics import SourceRange
from nexus.model.expressions import Raw
from nexus.model.values import Value


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """How a resource may change. ``ignore_changes`` and ``replace_on`` name fields of its kind."""

    prevent_destroy: bool = False
    ignore_changes: tuple[str, ...] = ()
    replace_on: tuple[str, ...] = ()
    create_before_destroy: bool = False


@dataclass(frozen=True, slots=True)
class Each:
    """What ``each.key`` and ``each.value`` mean in one instance."""

    key: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """One instance that should exist.

    ``attributes`` holds the block's fields as written, expressions as leaves, without the fields that are about the
    block itself (``count``, ``for_each``, ``depends_on``, ``lifecycle``, ``matrix``, ``when``). Instances of one block
    share it. ``depends_on`` holds all addresses this one waits for: written ones and those its expressions refer to.
    ``source`` is where the block stands; ``field_sources`` where its fields do.
    """

    address: Address
    attributes: Mapping[str, Raw]
    depends_on: tuple[Address, ...] = ()
    each: Each | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    source: SourceRange | None = None
    field_sources: Mapping[str, SourceRange] = field(default_factory=dict)
