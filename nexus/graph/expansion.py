"""From one block to its instances: ``count``, ``for_each``, ``matrix``, ``pool`` and ``when``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

from nexus.graph.blocks import Block
from nexus.graph.desired import Inputs
from nexus.graph.static import static_value, uses_each
from nexus.kinds.pool import pool_from
from nexus.kinds.reading import InvalidValue, label
from nexus.model.diagnostics import Diagnostics, error
from nexus.model.expressions import Raw
from nexus.model.resources import Each, Pool
from nexus.model.values import UNKNOWN, Value

EXPANDING: Final = ("count", "for_each", "matrix", "pool")
MAX_INSTANCES: Final = 100_000


@dataclass(frozen=True, slots=True)
class Instances:
    """``items`` by key; a block that is no family has the one item None. ``enabled`` is False for ``when: false``.

    ``pool`` is the one that they are members of.
    """

    items: Sequence[Each | None]
    expanded: bool
    enabled: bool = True
    pool: Pool | None = None


def expand(block: Block, inputs: Inputs, diagnostics: Diagnostics, fan_out: Iterable[str] | None = None) -> Instances:
    """The instances of ``block``. ``fan_out`` are the keys of the sandboxes that a step runs in."""
    written = [name for name in EXPANDING if name in block.meta]
    if len(written) > 1 or (written and fan_out is not None):
        _report(block, written[-1], _conflict(written, fan_out is not None), diagnostics)
        return Instances((), expanded=True)
    pool = None
    if fan_out is not None:
        items: list[Each] = [Each(key, key) for key in fan_out]
    elif written == ["pool"]:
        pool = _pool(block, inputs, diagnostics)
        items = _numbered(pool.size)
    elif written:
        items = _items(block, written[0], inputs, diagnostics)
    else:
        enabled = _is_wanted(block, None, inputs, diagnostics)
        return Instances((None,) if enabled else (), expanded=False, enabled=enabled)
    return _filtered(block, items, pool, inputs, diagnostics)


def _filtered(
    block: Block, items: list[Each], pool: Pool | None, inputs: Inputs, diagnostics: Diagnostics
) -> Instances:
    """A pool that is not wanted is none, which one of the size 0 still is."""
    when = block.meta.get("when")
    if when is None:
        return Instances(items, expanded=True, pool=pool)
    if not uses_each(when):
        wanted = _is_wanted(block, None, inputs, diagnostics)
        return Instances(items, expanded=True, pool=pool) if wanted else Instances((), expanded=True)
    items = [item for item in items if _is_wanted(block, item, inputs, diagnostics)]
    return Instances(items, expanded=True, pool=pool)


def _is_wanted(block: Block, each: Each | None, inputs: Inputs, diagnostics: Diagnostics) -> bool:
    when = block.meta.get("when")
    if when is None:
        return True
    value = static_value(when, each, inputs, block, "when", diagnostics)
    if value is not UNKNOWN and not isinstance(value, bool):
        _report(block, "when", "when must be true or false", diagnostics)
    return value is True


def _items(block: Block, name: str, inputs: Inputs, diagnostics: Diagnostics) -> list[Each]:
    value = static_value(block.meta[name], None, inputs, block, name, diagnostics)
    if value is UNKNOWN:
        return []
    match name:
        case "count":
            return _counted(block, value, diagnostics)
        case "for_each":
            return _listed(block, value, diagnostics)
        case _:
            return _combined(block, value, block.meta[name], diagnostics)


def _counted(block: Block, value: Value, diagnostics: Diagnostics) -> list[Each]:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_INSTANCES:
        _report(block, "count", f"count must be a whole number from 0 to {MAX_INSTANCES}", diagnostics)
        return []
    return _numbered(value)


def _numbered(count: int) -> list[Each]:
    return [Each(str(index), index) for index in range(count)]


def _pool(block: Block, inputs: Inputs, diagnostics: Diagnostics) -> Pool:
    """What has the wrong shape is reported here, because a variable may bring it."""
    value = static_value(block.meta["pool"], None, inputs, block, "pool", diagnostics)
    if value is UNKNOWN:
        return Pool(0)
    try:
        return pool_from(value)
    except InvalidValue as problem:
        _report(block, "pool", f"{label(('pool', *problem.path))} must be {problem}", diagnostics)
        return Pool(0)


def _listed(block: Block, value: Value, diagnostics: Diagnostics) -> list[Each]:
    match value:
        case dict():
            return [Each(key, item) for key, item in value.items()]
        case list():
            return _unique(block, "for_each", [(_key(item), item) for item in value], diagnostics)
        case _:
            _report(block, "for_each", "for_each must be a list or a mapping", diagnostics)
            return []


def _combined(block: Block, value: Value, raw: Raw, diagnostics: Diagnostics) -> list[Each]:
    """Keys join the items by commas, in the order in which the matrix is written."""
    if not isinstance(value, dict) or not value or not all(isinstance(axis, list) for axis in value.values()):
        _report(block, "matrix", "matrix must be a mapping of lists", diagnostics)
        return []
    names = list(raw if isinstance(raw, Mapping) else value)
    axes = [axis for axis in (value[name] for name in names) if isinstance(axis, list)]
    combinations = list(product(*axes))
    found: list[tuple[str | None, Value]] = []
    for items in combinations:
        keys = [_key(item) for item in items]
        key = None if None in keys else ",".join(str(part) for part in keys)
        found.append((key, dict(zip(names, items, strict=True))))
    return _unique(block, "matrix", found, diagnostics)


def _key(value: Value) -> str | None:
    """The text that a string or a number is as a key; None for what can't be one."""
    match value:
        case bool():
            return None
        case str():
            return value
        case float() if value.is_integer():
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            return None


def _unique(block: Block, name: str, found: Sequence[tuple[str | None, Value]], diagnostics: Diagnostics) -> list[Each]:
    items: dict[str, Each] = {}
    for key, value in found:
        if key is None:
            hint = "a mapping gives each instance a key and any value" if name == "for_each" else ""
            _report(block, name, f"{name} takes lists of strings and numbers only", diagnostics, hint)
            return []
        if key in items:
            _report(block, name, f"{name} holds «{key}» twice; each instance needs a key of its own", diagnostics)
        items[key] = Each(key, value)
    return list(items.values())


def _conflict(written: Sequence[str], fans_out: bool) -> str:
    if fans_out and written:
        return f"{written[-1]} can't be used in a step that runs in every instance of a sandbox"
    return f"{' and '.join(written)} can't be used together"


def _report(block: Block, name: str, summary: str, diagnostics: Diagnostics, hint: str = "") -> None:
    diagnostics.add(error("invalid-expansion", summary, hint=hint, address=str(block.address), range=block.place(name)))
