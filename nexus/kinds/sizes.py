"""Sizes of memory: MiB, or texts such as ``512MiB`` and ``1GiB``."""

from __future__ import annotations

import re
from fractions import Fraction

from nexus.kinds.reading import InvalidValue, shown
from nexus.model.values import Value

SMALLEST = 128
LARGEST = 1 << 20
_UNITS = {"k": Fraction(1, 1024), "m": Fraction(1), "g": Fraction(1024), "t": Fraction(1024**2)}
_TEXT = re.compile(r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,6})?) ?(?P<unit>[kmgt])(?:i?b)?", re.IGNORECASE)

MEMORY_SCHEMA = {
    "title": "size of memory",
    "anyOf": [
        {"type": "integer", "minimum": SMALLEST, "maximum": LARGEST},
        {"type": "string", "pattern": r"^[0-9]{1,9}(\.[0-9]{1,6})?( ?[kKmMgGtT](i?[bB])?)?$"},
    ],
    "examples": ["512MiB", "1GiB", 2048],
}


def parse_memory(value: Value) -> int:
    """MiB of ``1024``, ``"512MiB"``, ``"1GiB"``, ``"2g"``: units are powers of 1024, as Docker reads them.

    E2B wants an even number of at least 128. Raises InvalidValue.
    """
    size = _mebibytes(value)
    if size is None:
        raise InvalidValue(f"a size of memory such as 512MiB or 1GiB, or a number of MiB, not {shown(value)}")
    if size.denominator != 1 or size % 2 != 0:
        raise InvalidValue(f"an even number of MiB, not {shown(value)}")
    if not SMALLEST <= size <= LARGEST:
        raise InvalidValue(f"between {format_memory(SMALLEST)} and {format_memory(LARGEST)}, not {shown(value)}")
    return int(size)


def _mebibytes(value: Value) -> Fraction | None:
    match value:
        case bool():
            return None
        case int():
            return Fraction(value)
        case float() if value.is_integer():
            return Fraction(int(value))
        case str() if re.fullmatch(r"[0-9]{1,9}", value):
            return Fraction(int(value))
        case str():
            match = _TEXT.fullmatch(value)
            return None if match is None else Fraction(match["number"]) * _UNITS[match["unit"].lower()]
        case _:
            return None


def format_memory(mebibytes: int) -> str:
    """The text that people would write: ``1GiB``, ``1536MiB``."""
    return f"{mebibytes // 1024}GiB" if mebibytes and mebibytes % 1024 == 0 else f"{mebibytes}MiB"
