"""Desired resources: what the manifest asks for, one per instance, before their expressions are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from nexus.model.addresses import Address
from nexus.model.diagnostics import SourceRange
from nexus.model.expressions import Raw
from nexus.model.values import Value


class OnDestroy(StrEnum):
    """What becomes of a sandbox that is destroyed: it goes, it is left paused, or a snapshot of it stays."""

    KILL = "kill"
    PAUSE = "pause"
    SNAPSHOT = "snapshot"


class Stage(StrEnum):
    """When a condition is looked at: before anything is done to the resource, or after."""

    PRECONDITION = "precondition"
    POSTCONDITION = "postcondition"


@dataclass(frozen=True, slots=True)
class Condition:
    """Something that has to be true, and what to say where it is not."""

    condition: Raw
    error_message: Raw
    source: SourceRange | None = None


FieldPath = tuple[str, ...]
"""A field of a kind, or a part of one, key by key. The empty one means every field."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """How a resource may change. ``ignore_changes`` and ``replace_on`` name fields of its kind, or parts of them."""

    prevent_destroy: bool = False
    ignore_changes: tuple[FieldPath, ...] = ()
    replace_on: tuple[FieldPath, ...] = ()
    create_before_destroy: bool = False
    on_destroy: OnDestroy = OnDestroy.KILL
    conditions: Mapping[Stage, tuple[Condition, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pool:
    """A block whose instances stand ready to be taken: how many, and after how many seconds one is replaced."""

    size: int
    max_age: int | None = None


@dataclass(frozen=True, slots=True)
class Each:
    """What ``each.key`` and ``each.value`` mean in one instance."""

    key: str
    value: Value


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourceSpec:
    """One instance that should exist.

    ``attributes`` holds the block's fields as written, expressions as leaves, without the fields that are about the
    block itself (``count``, ``for_each``, ``depends_on``, ``lifecycle``, ``matrix``, ``pool``, ``when``). Instances of
    one block share it. ``depends_on`` holds all addresses this one waits for: written ones, and those its expressions
    refer to.
    ``timeouts`` are the seconds that operations may take, by class of operation; ``alerts`` percentages by what is
    measured. ``pool`` is the one that it is a member of. ``source`` is where the block stands; ``field_sources`` where
    its fields do.
    """

    address: Address
    attributes: Mapping[str, Raw]
    depends_on: tuple[Address, ...] = ()
    each: Each | None = None
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    timeouts: Mapping[str, int] = field(default_factory=dict)
    alerts: Mapping[str, int] = field(default_factory=dict)
    pool: Pool | None = None
    source: SourceRange | None = None
    field_sources: Mapping[str, SourceRange] = field(default_factory=dict)
