"""Who needs whom: references of expressions, ``depends_on`` and ``needs``, checked and turned into edges."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from nexus.expressions import interpret, resolve
from nexus.graph.blocks import Block, expressions_in
from nexus.graph.desired import Inputs, Kinds
from nexus.graph.lifecycle import conditions_of
from nexus.graph.static import BEFORE_APPLY, static_value, uses_each
from nexus.kinds.base import Kind
from nexus.kinds.catalogue import catalogue_address
from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import Diagnostic, Diagnostics, DiagnosticsError, SourceRange, error
from nexus.model.expressions import ANY_KEY, Expression, Raw, Reference
from nexus.model.resources import Condition, Each, Pool, Stage
from nexus.model.suggestions import did_you_mean
from nexus.model.values import UNKNOWN

WRITTEN: Final = ("depends_on", "needs")


@dataclass(slots=True)
class Family:
    """A block and its instances. ``fans_over`` is the sandbox that a fanned-out step runs in."""

    block: Block
    attributes: Mapping[str, Raw]
    items: Mapping[str, Each] = field(default_factory=dict)
    expanded: bool = False
    enabled: bool = True
    fans_over: Address | None = None
    implicit: tuple[Address, ...] = ()  # templates of the catalogue that it names
    addresses: tuple[Address, ...] = ()
    pool: Pool | None = None

    def instance(self, key: str) -> Address:
        return Address(self.block.address.kind, self.block.address.name, key)


@dataclass(frozen=True, slots=True)
class _Keyed:
    """An edge whose target depends on the instance."""

    target: Address
    reference: Reference | None  # None: the instance of the same key
    place: SourceRange | None


@dataclass(slots=True)
class Edges:
    """The edges of one block: those of every instance, and those that depend on ``each``."""

    fixed: dict[Address, SourceRange | None] = field(default_factory=dict)
    keyed: list[_Keyed] = field(default_factory=list)


class EdgeFinder:
    """Checks the references of blocks and outputs against all families, and finds their edges."""

    def __init__(self, families: Mapping[Address, Family], inputs: Inputs, diagnostics: Diagnostics) -> None:
        self.families = families
        self.catalogue: dict[Address, None] = {}  # those that expressions refer to
        self.inputs = inputs
        self.diagnostics = diagnostics
        self.attribute_names = _attribute_names(inputs.kinds)

    def of_block(self, family: Family, each: Each | None) -> Edges:
        """Edges of the whole block, or of one instance whose names differ from those of others (``each``)."""
        edges = Edges(dict.fromkeys(family.implicit))
        block = family.block
        for name, raw in family.attributes.items():
            for expression in expressions_in(raw):
                for reference in expression.references:
                    self._check(reference, expression, block, name, expanded=family.expanded)
                    self._edge(reference, expression, block, edges, expanded=family.expanded)
        for stage in Stage:
            for condition in conditions_of(block, stage):
                self._condition(condition, stage, family, edges)
        for name in WRITTEN:
            raw = block.meta.get(name)
            if raw is not None and (each is not None or not uses_each(raw)):
                self._written(name, raw, each, family, edges)
        return edges

    def _condition(self, condition: Condition, stage: Stage, family: Family, edges: Edges) -> None:
        """What a condition looks at must be there before it; a postcondition may look at its own resource."""
        block = family.block
        for expression in expressions_in([condition.condition, condition.error_message]):
            for reference in expression.references:
                own = reference.address is not None and reference.address.group == block.address
                if stage is Stage.POSTCONDITION and (reference.root == "self" or own):
                    continue
                self._check(reference, expression, block, stage, expanded=family.expanded)
                self._edge(reference, expression, block, edges, expanded=family.expanded)

    def of_instance(self, family: Family, edges: Edges, each: Each | None) -> tuple[Address, ...]:
        """All addresses that one instance waits for."""
        if not edges.keyed:
            return tuple(edges.fixed)
        found = dict.fromkeys(edges.fixed)
        for keyed in edges.keyed:
            found.update(dict.fromkeys(self._keyed(keyed, family, each)))
        return tuple(found)

    def check_output(self, expression: Expression, name: str) -> None:
        """References of a project output are checked, and make no edges."""
        for reference in expression.references:
            self._check(reference, expression, None, name, expanded=False)
            if reference.address is not None:
                self._edge(reference, expression, None, Edges(), expanded=False)

    def _check(
        self, reference: Reference, expression: Expression, block: Block | None, name: str, *, expanded: bool
    ) -> None:
        first = str(reference.path[0]) if reference.path else ""
        match reference.root:
            case "vars" if first and first not in self.inputs.variables:
                hint = (
                    did_you_mean(first, self.inputs.variables)
                    or f"declare it: variables: {{{first}: {{type: string}}}}"
                )
                self._report("unknown-variable", f"There is no variable «{first}»", hint, reference, expression, block)
            case "secrets" if first and first not in self.inputs.secrets:
                hint = did_you_mean(first, self.inputs.secrets) or f"declare it: secrets: {{{first}: {{env: {first}}}}}"
                self._report("unknown-secret", f"There is no secret «{first}»", hint, reference, expression, block)
            case "self":
                hint = "self stands for the outputs of a resource, in its lifecycle.postcondition"
                self._report(
                    "self-without-object", f"«self» has no meaning in {name}", hint, reference, expression, block
                )
            case "each" if not expanded:
                hint = "each.key and each.value exist in blocks with count, for_each, matrix or pool"
                self._report(
                    "each-without-instances", f"«each» has no meaning in {name}", hint, reference, expression, block
                )
            case _:
                pass

    def _edge(
        self, reference: Reference, expression: Expression, block: Block | None, edges: Edges, *, expanded: bool
    ) -> None:
        address = reference.address
        if address is None:
            return
        if address.kind == "catalogue":
            self._implicit(reference, expression, block, edges)
            return
        target = self.families.get(address.group)
        if target is None or not target.enabled:
            self._report(*self._missing(address, target), reference, expression, block)
            return
        if target.expanded:
            self._to_instances(reference, address, target, expression, block, edges, expanded=expanded)
        else:
            path = reference.path if address.key is None else (address.key, *reference.path)
            self._check_attribute(address.group, path, target, reference, expression, block)
            edges.fixed.setdefault(address.group, expression.range)

    def _to_instances(
        self,
        reference: Reference,
        address: Address,
        target: Family,
        expression: Expression,
        block: Block | None,
        edges: Edges,
        *,
        expanded: bool,
    ) -> None:
        if address.key is not None:
            if address.key not in target.items:
                hint = did_you_mean(address.key, target.items)
                self._report("unknown-resource", f"There is no {address}", hint, reference, expression, block)
                return
            self._check_attribute(address, reference.path, target, reference, expression, block)
            edges.fixed.setdefault(address, expression.range)
        elif reference.dynamic_key is None and reference.path:
            example = next(iter(target.addresses), f'{address.group}["key"]')
            self._report(
                "ambiguous-reference",
                f"{address} has {len(target.items)} instances",
                f"say which one is meant, as in {example}.{reference.path[0]}",
                reference,
                expression,
                block,
            )
        else:
            self._check_attribute(address, reference.path, target, reference, expression, block)
            if reference.dynamic_key in (None, ANY_KEY) or not _is_static_key(reference, expanded=expanded):
                edges.fixed.update((item, edges.fixed.get(item, expression.range)) for item in target.addresses)
            else:
                edges.keyed.append(_Keyed(address.group, reference, expression.range))

    def _keyed(self, keyed: _Keyed, family: Family, each: Each | None) -> Iterable[Address]:
        target = self.families[keyed.target]
        if keyed.reference is None:
            return (target.instance(each.key),) if each is not None and each.key in target.items else ()
        source = keyed.reference.dynamic_key or ""
        if each is not None and source == "each.key":
            key = each.key
        else:
            try:
                key = str(resolve(Expression((interpret(source)[0],), keyed.place), self.inputs.static_scope(each)))
            except DiagnosticsError as problem:
                self.diagnostics.extend(item.at(None, str(family.block.address)) for item in problem.diagnostics)
                return ()
        if key in target.items:
            return (target.instance(key),)
        self.diagnostics.add(
            error(
                "unknown-resource",
                f"There is no {target.instance(key)}",
                detail=f"The key is «{source}», which is «{key}» here.",
                hint=did_you_mean(key, target.items),
                address=str(family.block.address if each is None else family.instance(each.key)),
                range=keyed.place,
            )
        )
        return ()

    def _implicit(self, reference: Reference, expression: Expression, block: Block | None, edges: Edges) -> None:
        address = reference.address
        implicit = None if address is None else catalogue_address(address.name)
        if implicit is None:
            hint = "the catalogue is listed in the reference"
            self._report("unknown-resource", f"There is no {address}", hint, reference, expression, block)
            return
        self.catalogue[implicit] = None
        edges.fixed.setdefault(implicit, expression.range)

    def _missing(self, address: Address, target: Family | None) -> tuple[str, str, str]:
        if target is not None:
            return "disabled-resource", f"{address.group} does not exist: its «when» is false", ""
        same_kind = [known.name for known in self.families if known.kind == address.kind]
        elsewhere = [str(known) for known in self.families if known.name == address.name]
        hint = did_you_mean(address.name, same_kind)
        if elsewhere and not hint.startswith("did you mean"):
            hint = f"did you mean «{elsewhere[0]}»?"
        return "unknown-resource", f"There is no {address.group}", hint

    def _check_attribute(
        self,
        address: Address,
        path: tuple[str | int, ...],
        target: Family,
        reference: Reference,
        expression: Expression,
        block: Block | None,
    ) -> None:
        if not path:
            return
        names: Iterable[str] = self.attribute_names[address.kind]
        what = f"a {address.kind}" if address.kind != "step" else "a step"
        first = str(path[0])
        if first in names and len(path) > 1 and first in ("urls", "ports", "outputs"):
            declared = target.attributes.get("ports" if first == "urls" else first, {})
            if not isinstance(declared, dict):
                return
            names, first, what = declared, str(path[1]), f"{address.group}.{first}"
        if first not in names:
            self._report(
                "unknown-attribute",
                f"{what} has no «{first}»",
                did_you_mean(first, names),
                reference,
                expression,
                block,
            )

    def _written(self, name: str, raw: Raw, each: Each | None, family: Family, edges: Edges) -> None:
        value = static_value(raw, each, self.inputs, family.block, name, self.diagnostics)
        if value is UNKNOWN:
            return
        place = family.block.place(name)
        for item in value if isinstance(value, list) else [value]:
            address = self._named(str(item), name, family.block)
            target = None if address is None else self.families.get(address.group)
            if address is None or target is None or (address.key is not None and address.key not in target.items):
                self.diagnostics.add(self._unknown_dependency(str(item), name, family.block, place))
            elif not target.enabled:
                continue
            elif address.key is None and family.fans_over is not None and target.fans_over == family.fans_over:
                # Steps that run in the same sandboxes run side by side: each waits for the one in its own.
                edges.keyed.append(_Keyed(address, None, place))
            else:
                addresses = target.addresses if address.key is None else (address,)
                edges.fixed.update((found, edges.fixed.get(found, place)) for found in addresses)

    def _named(self, text: str, name: str, block: Block) -> Address | None:
        if name == "needs":
            sibling = Address("step", f"{block.pipeline}.{text}")
            if sibling in self.families:
                return sibling
        try:
            return Address.parse(text)
        except AddressError:
            return None

    def _unknown_dependency(self, text: str, name: str, block: Block, place: SourceRange | None) -> Diagnostic:
        if name == "needs":
            siblings = (
                family.block.address for family in self.families.values() if family.block.address.kind == "step"
            )
            known = [step.name.partition(".")[2] for step in siblings if step.name.startswith(f"{block.pipeline}.")]
        else:
            known = [str(address) for address in self.families]
        return error(
            "unknown-resource",
            f"{name} names «{text}», which does not exist",
            hint=did_you_mean(next((address for address in known if address.endswith(f".{text}")), text), known),
            address=str(block.address),
            range=place,
        )

    def _report(
        self,
        code: str,
        summary: str,
        hint: str,
        reference: Reference,
        expression: Expression,
        block: Block | None,
    ) -> None:
        part = expression.using(reference)
        self.diagnostics.add(
            error(
                code,
                _sentence(summary),
                detail="" if part is None else f"It is used in «{part.source}».",
                hint=hint,
                address="" if block is None else str(block.address),
                range=expression.range if part is None else expression.place_of(part),
            )
        )


def _sentence(summary: str) -> str:
    """With a capital letter, unless it begins with an address, which has none."""
    return summary if "." in summary.partition(" ")[0] else summary[0].upper() + summary[1:]


def _is_static_key(reference: Reference, *, expanded: bool) -> bool:
    allowed = BEFORE_APPLY | ({"each"} if expanded else set())
    interpolation, problems = interpret(reference.dynamic_key or "")
    return not problems and all(inner.root in allowed for inner in interpolation.references)


def _attribute_names(kinds: Kinds) -> Mapping[str, tuple[str, ...]]:
    """What expressions may ask of a resource of each kind: its outputs and its fields."""
    return {word: tuple(dict.fromkeys(_names_of(kind))) for word, kind in kinds.items()}


def _names_of(kind: Kind[object]) -> Iterator[str]:
    attributes = [item for item in kind.fields if not item.meta and not item.folds_into]
    yield from kind.outputs({item.name: item.default for item in attributes}, None)
    yield from (item.name for item in attributes)
