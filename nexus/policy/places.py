"""Where the field stands that a rule is about: the first that its condition asks ``self`` for."""

from __future__ import annotations

from collections.abc import Iterator

from nexus.expressions import Path, Places
from nexus.kinds.registry import KINDS
from nexus.model.addresses import Address
from nexus.model.diagnostics import SourceRange
from nexus.model.resources import ResourceSpec
from nexus.policy.rules import Rule


def offending_place(rule: Rule, spec: ResourceSpec, places: Places) -> SourceRange | None:
    """The innermost key that is written; the block, where none of it is."""
    block = _block(spec.address)
    written = next((path for path in _fields(rule, spec.address.kind) if path[0] in spec.attributes), None)
    return (None if written is None else places((*block, *written))) or spec.source


def _fields(rule: Rule, kind: str) -> Iterator[Path]:
    known = {field.name for field in KINDS[kind].fields}
    return (path for path in rule.asked if path and path[0] in known)


def _block(address: Address) -> Path:
    section = KINDS[address.kind].section
    if address.kind != "step":
        return (section, address.name)
    pipeline, _, step = address.name.partition(".")
    return (section, pipeline, "steps", step)
