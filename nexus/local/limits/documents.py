"""Limits as JSON: what ``/nexus/limits`` takes and shows, and a limits file holds (schemas/limits.schema.json)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from nexus.local.limits.model import TIERS, Limits, Rate

_RATES = ("create_rate", "request_rate")
_KEYS = tuple(item.name for item in fields(Limits))
_DEFAULTED = ("max_timeout", "concurrent_sandboxes")


class LimitsError(ValueError):
    """A document that is not one. ``where`` leads to the place: ``("create_rate", "requests")``."""

    def __init__(self, where: Sequence[str], problem: str) -> None:
        super().__init__(f"{'.'.join(where)}: {problem}" if where else problem)
        self.where = tuple(where)
        self.problem = problem


def parse_limits(value: object, default: Limits | None = None) -> Limits:
    """The name of a tier, or an object of limits over those of a ``tier``. Raises LimitsError.

    What is not said is as in ``default``. None and an empty object are the default.
    """
    if isinstance(value, str):
        return _tier(value, ())
    if value is not None and not isinstance(value, dict):
        raise LimitsError([], f"the name of a tier ({', '.join(TIERS)}) or an object of limits is expected")
    document: dict[object, object] = value or {}
    if unknown := sorted(str(key) for key in document if key not in _KEYS):
        raise LimitsError([unknown[0]], f"is unknown; there are {', '.join(_KEYS)}")
    base = _tier(document["tier"], ("tier",)) if document.get("tier") is not None else default or Limits()
    said = {str(key): _limit(str(key), item) for key, item in document.items() if key != "tier"}
    return replace(base, **said)  # type: ignore[arg-type]


def shown_limits(limits: Limits) -> dict[str, object]:
    """Only what limits; a document that :func:`parse_limits` reads."""
    shown: dict[str, object] = {}
    for key in _KEYS:
        value = getattr(limits, key)
        if isinstance(value, Rate):
            shown[key] = {"requests": value.requests, "seconds": value.seconds}
        elif value is not None:
            shown[key] = value
    return shown


def _tier(value: object, where: Sequence[str]) -> Limits:
    if not isinstance(value, str) or value not in TIERS:
        raise LimitsError(where, f"must be one of {', '.join(TIERS)}")
    return TIERS[value]


def _limit(key: str, value: object) -> int | Rate | None:
    if value is None and key not in _DEFAULTED:
        return None
    if key in _RATES:
        return _rate(key, value)
    return _number([key], value, low=0 if key not in _DEFAULTED else 1)


def _rate(key: str, value: object) -> Rate:
    if not isinstance(value, dict) or not value.keys() <= {"requests", "seconds"} or "requests" not in value:
        raise LimitsError([key], "must be an object with requests and, unless it is 1, seconds")
    return Rate(
        _number([key, "requests"], value["requests"], low=1), _number([key, "seconds"], value.get("seconds", 1), low=1)
    )


def _number(where: Sequence[str], value: object, *, low: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= 2**31:
        raise LimitsError(where, f"must be a whole number, at least {low}")
    return value
