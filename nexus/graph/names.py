"""Plain names where a resource is meant: ``template: python``, ``sandbox: extractor``, ``volumes: {/data: datasets}``.

A name of a resource of the manifest is rewritten to the expression that says the same, so that everything after this
knows one form only. Names of the catalogue stay, and become edges to implicit resources.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from nexus.expressions import interpret
from nexus.graph.blocks import Block, expressions_in
from nexus.graph.desired import Inputs
from nexus.graph.static import is_static, static_value, uses_each
from nexus.kinds.catalogue import catalogue_address
from nexus.kinds.definitions import DEFINITIONS
from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import Diagnostics, error, warning
from nexus.model.expressions import Expression, Raw
from nexus.model.resources import Each
from nexus.model.suggestions import did_you_mean, nearest


@dataclass(frozen=True, slots=True)
class NamedField:
    """A field whose text names a resource of ``kind``. ``open`` ones may also name what is no resource of ours."""

    name: str
    kind: str
    open: bool = False


_FIELDS: Final = {
    "sandbox": (NamedField("template", "template", open=True), NamedField("volumes", "volume")),
    "template": (NamedField("base_template", "template", open=True),),
    "step": (NamedField("sandbox", "sandbox"),),
}
_OWN: Final = "sandbox"
_NEARLY: Final = 0.8
"""From how much likeness on a template's name is taken for a slip: names in the account are free, and mostly longer."""
"""The field of a step that may hold the fields of a sandbox of its own."""


@dataclass(slots=True)
class Naming:
    """Rewrites the named fields of one block, or of one of its instances."""

    block: Block
    blocks: Collection[Address]
    inputs: Inputs
    diagnostics: Diagnostics
    implicit: dict[Address, None] = field(default_factory=dict)

    @property
    def varies(self) -> bool:
        """Whether what is named differs between instances."""
        named = [self.block.attributes.get(item.name) for item in _FIELDS.get(self.block.address.kind, ())]
        own = self._own_sandbox()
        named += [] if own is None else [own.get(item.name) for item in _FIELDS["sandbox"]]
        return any(uses_each(raw) and is_static(raw, ("each",)) for raw in named)

    def rewrite(self, each: Each | None) -> tuple[Mapping[str, Raw], tuple[Address, ...]]:
        """The attributes with names rewritten (the same object when there are none), and the catalogue's resources
        that they name."""
        self.implicit = {}
        changed: dict[str, Raw] = {}
        for item in _FIELDS.get(self.block.address.kind, ()):
            written = self.block.attributes.get(item.name)
            if written is None:
                self._take_default(item)
                continue
            new = self._rewritten(item, written, each)
            if new is not written:
                changed[item.name] = new
        own = self._own_sandbox()
        if own is not None:
            changed[_OWN] = self._rewritten_own(own, each)
        attributes = {**self.block.attributes, **changed} if changed else self.block.attributes
        return attributes, tuple(self.implicit)

    def _own_sandbox(self) -> dict[str, Raw] | None:
        written = self.block.attributes.get(_OWN)
        return written if self.block.address.kind == "step" and isinstance(written, dict) else None

    def _rewritten_own(self, own: dict[str, Raw], each: Each | None) -> Raw:
        found = {
            item.name: self._rewritten(item, own[item.name], each)
            for item in _FIELDS["sandbox"]
            if own.get(item.name) is not None
        }
        return {**own, **found}

    def _take_default(self, item: NamedField) -> None:
        if item.open and not {"image", "dockerfile"} & self.block.attributes.keys():
            default = next((known.default for known in self.block.kind.fields if known.name == item.name), None)
            implicit = catalogue_address(default)
            if implicit is not None:
                self.implicit[implicit] = None

    def _rewritten(self, item: NamedField, raw: Raw, each: Each | None) -> Raw:
        match raw:
            case dict() if item.kind == "volume":
                found = {key: self._rewritten(item, value, each) for key, value in raw.items()}
                return found if any(found[key] is not raw[key] for key in raw) else raw
            case Expression() if is_static(raw, ("each",)) and (each is not None or not uses_each(raw)):
                value = static_value(raw, each, self.inputs, self.block, item.name, Diagnostics())
                return self._named(item, value, raw) if isinstance(value, str) else raw
            case str():
                return self._named(item, raw, raw)
            case _:
                return raw

    def _named(self, item: NamedField, text: str, raw: Raw) -> Raw:
        address = self._address(item, text)
        if address is not None and address.group in self.blocks:
            place = raw.range if isinstance(raw, Expression) else self.block.place(item.name)
            return Expression((interpret(str(address))[0],), place)
        if item.open:
            implicit = catalogue_address(text)
            if implicit is not None:
                self.implicit[implicit] = None
            elif near := nearest(text, self._templates(), cutoff=_NEARLY):
                self._doubtful(item, text, near)
            return raw
        self._unknown(item, text, raw)
        return raw

    def _address(self, item: NamedField, text: str) -> Address | None:
        named = Address(item.kind, text)
        if named in self.blocks:
            return named
        try:
            parsed = Address.parse(text)
        except AddressError:
            return None
        return parsed if parsed.kind == item.kind else None

    def _templates(self) -> list[str]:
        """What a template may be called in the manifest, besides the names in an account, which nobody knows here."""
        return [*DEFINITIONS, *(address.name for address in self.blocks if address.kind == "template")]

    def _doubtful(self, item: NamedField, text: str, near: str) -> None:
        self.diagnostics.add(
            warning(
                "template-elsewhere",
                f"Neither the manifest nor the catalogue has a template «{text}»",
                detail="It is looked for in the account, when something is made from it.",
                hint=f"did you mean «{near}»?",
                address=str(self.block.address),
                range=self.block.place(item.name),
            )
        )

    def _unknown(self, item: NamedField, text: str, raw: Raw) -> None:
        known = [address.name for address in self.blocks if address.kind == item.kind]
        place = next((expression.range for expression in expressions_in(raw)), None)
        self.diagnostics.add(
            error(
                "unknown-resource",
                f"There is no {item.kind} of this name",
                detail=f"{item.name} names «{text}», which the manifest does not declare.",
                hint=_instead(item, text, known),
                address=str(self.block.address),
                range=place or self.block.place(item.name),
            )
        )


def _instead(item: NamedField, text: str, known: Sequence[str]) -> str:
    """What was meant: an instance, which is known by its whole address; a path in a name's place; a name like it."""
    name, bracket, key = text.partition("[")
    if bracket and name in known:
        whole = Address(item.kind, name, key.rstrip("]").strip("\"'"))
        return f"an instance is named by its whole address: '{whole}'"
    if item.kind == "volume" and text.startswith("/"):
        return f'the path comes first, as in {item.name}: {{"{text}": {known[0] if known else "my-volume"}}}'
    return did_you_mean(text, known)


def fanned_out(block: Block, attributes: Mapping[str, Raw]) -> tuple[Address, Expression] | None:
    """The sandboxes that a step means as a whole, without a key; a step runs in each of them."""
    raw = attributes.get("sandbox")
    if block.address.kind != "step" or not isinstance(raw, Expression) or not raw.is_whole:
        return None
    part = raw.parts[0]
    if isinstance(part, str) or not part.bare:
        return None
    (reference, *_) = part.references
    address = reference.address
    if (
        address is None
        or address.kind != "sandbox"
        or address.key is not None
        or reference.dynamic_key
        or reference.path
    ):
        return None
    return address, raw


def instance_expression(block: Address, raw: Expression) -> Expression:
    """The reference to the instance of ``block`` that has the key of the one that is evaluated."""
    return Expression((interpret(f"{block}[each.key]")[0],), raw.range)
