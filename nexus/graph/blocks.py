"""Reads the manifest's sections as blocks: one for each name, its strings parsed, its places kept."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from nexus.expressions import Path, Places, parse_tree
from nexus.graph.desired import Inputs, OutputSpec
from nexus.kinds.base import Kind
from nexus.model.addresses import KINDS, Address
from nexus.model.diagnostics import Diagnostics, SourceRange
from nexus.model.expressions import Expression, Raw

STEP: Final = "step"


@dataclass(slots=True, kw_only=True)
class Block:
    """One named block. ``attributes`` become the resource's; ``meta`` are the fields about the block itself."""

    address: Address
    kind: Kind[object]
    attributes: dict[str, Raw]
    meta: dict[str, Raw]
    source: SourceRange | None = None
    field_sources: Mapping[str, SourceRange] = field(default_factory=dict)

    @property
    def pipeline(self) -> str:
        """For a step: the name of its pipeline."""
        return self.address.name.partition(".")[0]

    def place(self, name: str) -> SourceRange | None:
        return self.field_sources.get(name, self.source)


@dataclass(frozen=True, slots=True, eq=False)
class FieldPlaces(Mapping[str, SourceRange]):
    """Where the fields of a block stand, and items of lists, as in ``run_commands[1]``.

    Looked up when asked for: most are only needed once something is wrong.
    """

    places: Places
    path: Path
    fields: Collection[str]

    def __getitem__(self, name: str) -> SourceRange:
        field, _, index = name.removesuffix("]").partition("[")
        item: Path = (int(index),) if index.isdigit() else ()
        place = self.places((*self.path, field, *item)) if field in self.fields else None
        if place is None:
            raise KeyError(name)
        return place

    def __iter__(self) -> Iterator[str]:
        return (name for name in self.fields if self.places((*self.path, name)) is not None)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def read_blocks(inputs: Inputs, diagnostics: Diagnostics) -> dict[Address, Block]:
    """All blocks, kinds in their usual order. What has the wrong shape is skipped: the schema reports it."""
    blocks: dict[Address, Block] = {}
    for word in KINDS:
        kind = inputs.kinds.get(word)
        if kind is None or not kind.section:
            continue
        for address, path, fields in _sections(kind, inputs.values):
            blocks[address] = _block(kind, address, path, fields, inputs, diagnostics)
    return blocks


def _sections(kind: Kind[object], values: Mapping[str, object]) -> Iterator[tuple[Address, Path, Mapping[str, object]]]:
    for name, block in _mapping(values.get(kind.section)).items():
        if kind.name != STEP:
            if block is None or isinstance(block, Mapping):
                yield Address(kind.name, name), (kind.section, name), _mapping(block)
            continue
        for step, fields in _mapping(_mapping(block).get("steps")).items():
            if isinstance(fields, Mapping):
                yield Address(STEP, f"{name}.{step}"), (kind.section, name, "steps", step), fields


def _block(
    kind: Kind[object],
    address: Address,
    path: Path,
    fields: Mapping[str, object],
    inputs: Inputs,
    diagnostics: Diagnostics,
) -> Block:
    meta_names = {item.name for item in kind.fields if item.meta}
    found = Diagnostics()
    parsed: dict[str, Raw] = {}
    for name, value in fields.items():
        known = len(found)
        parsed[name] = parse_tree(value, (*path, name), inputs.places, found)
        if name in meta_names and len(found) > known:
            del parsed[name]  # what is wrong with it is told; that it is no number either would be noise
    diagnostics.extend(item.at(None, str(address)) for item in found)
    return Block(
        address=address,
        kind=kind,
        attributes={name: value for name, value in parsed.items() if name not in meta_names},
        meta={name: value for name, value in parsed.items() if name in meta_names and value is not None},
        source=inputs.places(path),
        field_sources=FieldPlaces(inputs.places, path, fields),
    )


def read_outputs(inputs: Inputs, diagnostics: Diagnostics) -> dict[str, OutputSpec]:
    """The section ``outputs``: a value with a description, or just the value."""
    outputs: dict[str, OutputSpec] = {}
    for name, written in _mapping(inputs.values.get("outputs")).items():
        fields = written if isinstance(written, Mapping) and "value" in written else {"value": written}
        path: Path = ("outputs", name, "value") if fields is written else ("outputs", name)
        description = fields.get("description")
        outputs[name] = OutputSpec(
            name=name,
            value=parse_tree(fields["value"], path, inputs.places, diagnostics),
            description=description if isinstance(description, str) else "",
            source=inputs.places(path),
        )
    return outputs


def expressions_in(raw: Raw) -> Iterator[Expression]:
    """Every expression inside a value."""
    match raw:
        case Expression():
            yield raw
        case dict():
            for item in raw.values():
                yield from expressions_in(item)
        case list():
            for item in raw:
                yield from expressions_in(item)


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
