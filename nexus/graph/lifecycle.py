"""The fields of a block that say how its resources may change: ``lifecycle``, ``timeouts`` and ``alerts``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nexus.graph.blocks import Block
from nexus.graph.desired import Inputs
from nexus.graph.static import static_value
from nexus.kinds.field_paths import EVERYTHING, parse_path
from nexus.kinds.reading import InvalidValue
from nexus.model.diagnostics import Diagnostics, error
from nexus.model.expressions import Expression
from nexus.model.resources import Condition, FieldPath, Lifecycle, OnDestroy, Stage
from nexus.model.values import Value


def lifecycle_of(block: Block, inputs: Inputs, diagnostics: Diagnostics) -> Lifecycle:
    """What the block says; what has the wrong shape is left out, because the schema reports it."""
    raw = block.meta.get("lifecycle")
    if raw is None:
        return Lifecycle()
    conditions = {stage: tuple(conditions_of(block, stage)) for stage in Stage}
    rest = {name: item for name, item in raw.items() if name not in set(Stage)} if isinstance(raw, dict) else raw
    value = static_value(rest, None, inputs, block, "lifecycle", diagnostics)
    if not isinstance(value, dict):
        return Lifecycle(conditions=conditions)
    return Lifecycle(
        prevent_destroy=value.get("prevent_destroy") is True,
        ignore_changes=_paths(value.get("ignore_changes"), "ignore_changes", block, diagnostics),
        replace_on=_paths(value.get("replace_on"), "replace_on", block, diagnostics),
        create_before_destroy=value.get("create_before_destroy") is True,
        on_destroy=OnDestroy(str(value["on_destroy"])) if value.get("on_destroy") in set(OnDestroy) else OnDestroy.KILL,
        conditions={stage: found for stage, found in conditions.items() if found},
    )


def conditions_of(block: Block, stage: Stage) -> Iterator[Condition]:
    """The conditions of one stage, as they are written."""
    raw = block.meta.get("lifecycle")
    written = raw.get(stage) if isinstance(raw, dict) else None
    for item in written if isinstance(written, list) else [written]:
        if isinstance(item, dict) and "condition" in item and "error_message" in item:
            condition = item["condition"]
            place = condition.range if isinstance(condition, Expression) else None
            yield Condition(condition, item["error_message"], place or block.place("lifecycle"))


def numbers_of(block: Block, name: str, inputs: Inputs, diagnostics: Diagnostics) -> Mapping[str, int]:
    """A field that maps words to numbers, as its own reader gives them."""
    raw = block.meta.get(name)
    field = next((item for item in block.kind.fields if item.name == name), None)
    if raw is None or field is None:
        return {}
    value: Value = static_value(raw, None, inputs, block, name, diagnostics)
    try:
        read = value if field.read is None else field.read(value)
    except InvalidValue as problem:
        where = ".".join(map(str, (name, *problem.path)))
        diagnostics.add(
            error(problem.code, f"{where} must be {problem}", address=str(block.address), range=block.place(name))
        )
        return {}
    numbers = read.items() if isinstance(read, dict) else ()
    return {word: number for word, number in numbers if isinstance(number, int)}


def _paths(value: Value, name: str, block: Block, diagnostics: Diagnostics) -> tuple[FieldPath, ...]:
    if value == EVERYTHING:
        return ((),)
    found: list[FieldPath] = []
    for item in value if isinstance(value, list) else ():
        try:
            found.append(parse_path(str(item)))
        except InvalidValue as problem:
            diagnostics.add(
                error(
                    problem.code,
                    f"lifecycle.{name} must be {problem}",
                    address=str(block.address),
                    range=block.place("lifecycle"),
                )
            )
    return tuple(found)
