"""Durations: seconds, or texts such as ``30m`` and ``1h30m``."""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache

from nexus.kinds.reading import InvalidValue, shown
from nexus.model.values import Value

DAY = 86_400
_UNITS = {"d": DAY, "h": 3600, "m": 60, "s": 1}
_PART = r"[0-9]{1,9}(?:\.[0-9]{1,6})?[dhms]"
_TEXT = re.compile(rf"(?:{_PART})+")

DURATION_SCHEMA = {
    "title": "duration",
    "anyOf": [{"type": "integer", "minimum": 1}, {"type": "string", "pattern": rf"^(?:[0-9]{{1,9}}|(?:{_PART})+)$"}],
    "examples": ["30m", "1h30m", 90],
}


def parse_duration(value: Value) -> int:
    """Seconds of ``90``, ``"90"``, ``"90s"``, ``"30m"``, ``"1h30m"``, ``"1.5h"``, ``"2d"``; always above 0.

    Raises InvalidValue.
    """
    seconds = _seconds(value)
    if seconds is None or seconds.denominator != 1:
        raise InvalidValue(f"a duration such as 30m, 1h30m or 90 (seconds), not {shown(value)}")
    if seconds <= 0:
        raise InvalidValue(f"longer than nothing, not {shown(value)}")
    return int(seconds)


def _seconds(value: Value) -> Fraction | None:
    match value:
        case bool():
            return None
        case int():
            return Fraction(value)
        case float() if value.is_integer():
            return Fraction(int(value))
        case str():
            return _seconds_of_text(value)
        case _:
            return None


@lru_cache(maxsize=1024)
def _seconds_of_text(text: str) -> Fraction | None:
    """Most manifests say the same few durations over and over."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return Fraction(int(text))
    if not _TEXT.fullmatch(text):
        return None
    parts = re.findall(_PART, text)
    units = [part[-1] for part in parts]
    if units != sorted(set(units), key="dhms".index):
        return None
    return sum((Fraction(part[:-1]) * _UNITS[part[-1]] for part in parts), Fraction(0))


def format_duration(seconds: int) -> str:
    """The shortest text that parses to ``seconds``: ``1h30m``."""
    parts = []
    for unit, length in _UNITS.items():
        count, seconds = divmod(seconds, length)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"


def duration(maximum: int | None = None) -> Callable[[Value], Value]:
    """A reader of durations up to ``maximum`` seconds."""

    def read(value: Value) -> Value:
        seconds = parse_duration(value)
        if maximum is not None and seconds > maximum:
            raise InvalidValue(f"at most {format_duration(maximum)}, not {shown(value)}")
        return seconds

    return read
