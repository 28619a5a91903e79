"""Two environments of a project held against each other: what each asks for, address by address. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from nexus.kinds.base import Kind
from nexus.model.addresses import Address
from nexus.model.changes import FieldDiff
from nexus.model.diagnostics import Diagnostics, DiagnosticsError
from nexus.model.state import Tree
from nexus.planning.diff import field_diffs
from nexus.planning.evaluate import Evaluated, Evaluation
from nexus.planning.request import PlanRequest

_OURS = ("catalogue", "setup")
"""Kinds that no block of a manifest is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What differs of one address. ``fields`` lead from the first to the second, and are empty where one has it alone.

    ``in_first`` and ``in_second`` say which of them have it.
    """

    address: Address
    in_first: bool = True
    in_second: bool = True
    fields: tuple[FieldDiff, ...] = ()


def compare(first: PlanRequest, second: PlanRequest) -> tuple[Difference, ...]:
    """By address. Names that only tell the environments apart are no difference. Raises DiagnosticsError."""
    before, after = (_wanted(replace(request, environment="")) for request in (first, second))
    return tuple(_differences(before, after, first.kinds))


def _wanted(request: PlanRequest) -> dict[Address, Evaluated]:
    evaluation, found, problems = Evaluation(request), {}, Diagnostics()
    for address in request.graph.dag.order():
        try:
            found[address] = evaluation.evaluate(address)
        except DiagnosticsError as problem:
            problems.extend(problem.diagnostics)
        evaluation.publish(address, None)
    problems.raise_if_errors()
    return {address: item for address, item in found.items() if address.kind not in _OURS}


def _differences(
    before: Mapping[Address, Evaluated], after: Mapping[Address, Evaluated], kinds: Mapping[str, Kind[object]]
) -> Iterator[Difference]:
    for address in sorted({*before, *after}):
        one, other = before.get(address), after.get(address)
        if one is None or other is None:
            yield Difference(address=address, in_first=one is not None, in_second=other is not None)
            continue
        trees: dict[str, Tree] = {**one.trees, **other.trees}
        computed = {field.name for field in kinds[address.kind].fields if field.computed}
        fields = field_diffs(kinds[address.kind], one.concealed, other.concealed, trees)
        written = tuple(item for item in fields if item.path not in computed)
        if written:
            yield Difference(address=address, fields=written)
