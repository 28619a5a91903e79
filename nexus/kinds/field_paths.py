"""Paths to fields and parts of them, as ``lifecycle`` and diffs name them: ``metadata.team``, ``ports["api"]``."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache

from nexus.kinds.reading import InvalidValue, shown
from nexus.model.resources import FieldPath
from nexus.model.values import Value

EVERYTHING = "all"
"""In the place of a list of fields: all of them."""

_PART = re.compile(r'(?:^|\.)([^.\["]+)|\[("(?:[^"\\]|\\.)*"|\d+)\]')


@lru_cache(maxsize=4096)
def parse_path(text: str) -> FieldPath:
    """The keys of ``env_vars.TOKEN`` or ``env_vars["TOKEN"]``. Raises InvalidValue when it is no such path."""
    keys: list[str] = []
    position = 0
    while position < len(text):
        part = _PART.match(text, position)
        if part is None or text.startswith("."):
            raise InvalidValue(f"a field or a part of one, as in metadata.team, not {shown(text)}")
        position = part.end()
        name, quoted = part[1], part[2]
        keys.append(name if name is not None else str(json.loads(quoted)))
    if not keys:
        raise InvalidValue("the name of a field")
    return tuple(keys)


def covers(paths: Iterable[FieldPath], path: FieldPath) -> bool:
    """Whether one of ``paths`` is ``path``, or something that it is a part of."""
    return any(path[: len(item)] == item for item in paths)


def touches(paths: Iterable[FieldPath], path: FieldPath) -> bool:
    """Whether one of ``paths`` is ``path``, or one of the two is a part of the other."""
    return any(item[: len(path)] == path[: len(item)] for item in paths)


def with_part(value: Value, path: FieldPath, before: Value) -> Value:
    """``value`` with the part at ``path`` as it is in ``before``, or without it where that has none."""
    if not path:
        return before
    if not isinstance(value, dict) or not isinstance(before, Mapping):
        return value
    first, *rest = path
    if first not in before:
        return {key: item for key, item in value.items() if key != first}
    if rest and first in value:
        return {**value, first: with_part(value[first], tuple(rest), before[first])}
    return value if rest else {**value, first: before[first]}
