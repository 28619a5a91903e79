"""Builds the desired graph from the manifest's values: blocks → instances → edges, with everything wrong reported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from nexus.graph.adoption import check_moved, read_imports, read_removed
from nexus.graph.blocks import Block, expressions_in, read_blocks, read_outputs
from nexus.graph.dag import Dag
from nexus.graph.desired import DesiredGraph, Inputs, OutputSpec
from nexus.graph.edges import WRITTEN, EdgeFinder, Family
from nexus.graph.expansion import Instances, expand
from nexus.graph.lifecycle import lifecycle_of, numbers_of
from nexus.graph.names import Naming, fanned_out, instance_expression
from nexus.graph.sharing import Sharing
from nexus.graph.static import uses_each
from nexus.model.addresses import Address
from nexus.model.diagnostics import Diagnostics, SourceRange, error
from nexus.model.expressions import Raw
from nexus.model.resources import ResourceSpec

CATALOGUE: Final = "catalogue"


def build(inputs: Inputs) -> DesiredGraph:
    """The whole graph. It can be planned only when it ``has_errors`` is False; nothing is raised for the user's errors.

    Never touches anything but ``inputs.files``.
    """
    diagnostics = Diagnostics()
    blocks = read_blocks(inputs, diagnostics)
    outputs = read_outputs(inputs, diagnostics)
    families = _families(blocks, inputs, diagnostics)
    finder = EdgeFinder(families, inputs, diagnostics)
    setups = Sharing(families, inputs, diagnostics).setups()
    declared: dict[Address, ResourceSpec] = {}
    for address, family in families.items():
        setup = setups.get(address)
        if setup is not None:
            declared[setup.address] = setup
        declared.update(_resources(family, families, finder, inputs, diagnostics, setup))
    _check_outputs(outputs, finder)
    implicit = dict.fromkeys(need for spec in declared.values() for need in spec.depends_on if need.kind == CATALOGUE)
    implicit.update(finder.catalogue)
    resources = {address: ResourceSpec(address=address, attributes={}) for address in implicit} | declared
    dag = Dag({address: spec.depends_on for address, spec in resources.items()})
    _check_cycles(dag, families, finder, diagnostics)
    check_moved(inputs, declared, diagnostics)
    return DesiredGraph(
        resources=resources,
        instances={
            address: {str(item.key): item for item in family.addresses}
            for address, family in families.items()
            if family.expanded
        },
        pools={address: family.pool for address, family in families.items() if family.pool is not None},
        outputs=outputs,
        dag=dag,
        imports=read_imports(inputs, declared, diagnostics),
        removed=read_removed(inputs, declared, diagnostics),
        diagnostics=diagnostics.sorted(),
    )


def _families(blocks: Mapping[Address, Block], inputs: Inputs, diagnostics: Diagnostics) -> dict[Address, Family]:
    """Sandboxes come before steps, so that a step knows over what it fans out."""
    families: dict[Address, Family] = {}
    for address, block in blocks.items():
        naming = Naming(block, blocks.keys(), inputs, diagnostics)
        attributes, implicit = (block.attributes, ()) if naming.varies else naming.rewrite(None)
        over = fanned_out(block, attributes)
        sandboxes = families.get(over[0]) if over else None
        if over is not None and sandboxes is not None and sandboxes.expanded:
            attributes = {**attributes, "sandbox": instance_expression(*over)}
            found = expand(block, inputs, diagnostics, fan_out=sandboxes.items)
        else:
            over = None
            found = expand(block, inputs, diagnostics)
        families[address] = _family(block, attributes, found)
        families[address].implicit = implicit
        families[address].fans_over = over[0] if over else None
    return families


def _family(block: Block, attributes: Mapping[str, Raw], found: Instances) -> Family:
    family = Family(block, attributes, expanded=found.expanded, enabled=found.enabled, pool=found.pool)
    family.items = {item.key: item for item in found.items if item is not None}
    if found.expanded:
        family.addresses = tuple(family.instance(key) for key in family.items)
    elif found.enabled:
        family.addresses = (block.address,)
    return family


def _resources(
    family: Family,
    families: Mapping[Address, Family],
    finder: EdgeFinder,
    inputs: Inputs,
    diagnostics: Diagnostics,
    setup: ResourceSpec | None,
) -> dict[Address, ResourceSpec]:
    """The instances of one block. They share all that does not differ between them."""
    block = family.block
    naming = Naming(block, families.keys(), inputs, diagnostics)
    one_by_one = naming.varies or any(uses_each(block.meta.get(name)) for name in WRITTEN)
    shared_edges = None if one_by_one else finder.of_block(family, None)
    lifecycle = lifecycle_of(block, inputs, diagnostics)
    timeouts, alerts = (numbers_of(block, name, inputs, diagnostics) for name in ("timeouts", "alerts"))
    shared = () if setup is None else (setup.address,)
    found: dict[Address, ResourceSpec] = {}
    for address in family.addresses:
        each = None if address.key is None else family.items[address.key]
        edges, attributes = shared_edges, family.attributes
        if edges is None:
            attributes, implicit = naming.rewrite(each) if naming.varies else (attributes, family.implicit)
            edges = finder.of_block(replace(family, attributes=attributes, implicit=implicit), each)
        found[address] = ResourceSpec(
            address=address,
            attributes=attributes,
            depends_on=(*finder.of_instance(family, edges, each), *shared),
            each=each,
            lifecycle=lifecycle,
            timeouts=timeouts,
            alerts=alerts,
            pool=family.pool,
            source=block.source,
            field_sources=block.field_sources,
        )
    return found


def _check_outputs(outputs: Mapping[str, OutputSpec], finder: EdgeFinder) -> None:
    for name, output in outputs.items():
        for expression in expressions_in(output.value):
            finder.check_output(expression, f"output {name}")


def _check_cycles(
    dag: Dag[Address], families: Mapping[Address, Family], finder: EdgeFinder, diagnostics: Diagnostics
) -> None:
    for path in dag.cycles():
        text = " → ".join(map(str, path))
        if len(path) == 2:
            summary, detail = f"{path[0]} refers to itself", "A resource can't need its own outputs."
        else:
            summary, detail = "Resources need each other in a circle", f"Each of these needs the next: {text}."
        places = [_place_of(families, finder, path[index], path[index + 1]) for index in range(len(path) - 1)]
        if len(path) > 2:
            written = [f"{path[index]} at {place}" for index, place in enumerate(places) if place]
            detail += f" The references are those of {', '.join(written)}." if written else ""
        diagnostics.add(
            error(
                "dependency-cycle",
                summary,
                detail=detail,
                hint="take one of these references away, or put the value into a variable",
                address=str(path[0]),
                range=next((place for place in places if place), None),
            )
        )


def _place_of(
    families: Mapping[Address, Family], finder: EdgeFinder, node: Address, needed: Address
) -> SourceRange | None:
    """Where ``node`` says that it needs the other; the block, where only an instance knows."""
    family = families.get(node.group)
    if family is None:
        return None
    edges = finder.of_block(family, None)
    if needed in edges.fixed:
        return edges.fixed[needed]
    keyed = (item.place for item in edges.keyed if item.target == needed.group)
    return next(keyed, family.block.source)
