"""Rules as JSON: what ``/nexus/faults`` takes and shows, and a faults file holds (schemas/faults.schema.json)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from typing import TypeVar

from nexus.local.faults.model import Action, FaultDocument, FaultRule, FaultScript, RuleCount, Surface

MAX_RULES = 200
MAX_MILLISECONDS = 600_000
_METHODS = frozenset({"*", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_FIELDS = frozenset(
    {
        *("on", "method", "path", "port", "action", "nth", "every", "probability", "times"),
        *("status", "message", "headers", "ms"),
    }
)
_CHOICES = ("nth", "every", "probability")
_TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")

Choice = TypeVar("Choice", bound=StrEnum)


class FaultsError(ValueError):
    """A document that is not one. ``where`` leads to the place: ``("rules", 0, "path")``."""

    def __init__(self, where: Sequence[str | int], problem: str) -> None:
        super().__init__(f"{_written(where)}: {problem}" if where else problem)
        self.where = tuple(where)
        self.problem = problem


def parse_faults(value: object) -> FaultDocument:
    """``{rules: [...], seed?}``, or just the list of rules. Raises FaultsError."""
    match value:
        case list():
            return FaultDocument(_rules(value, ()))
        case dict():
            if unknown := sorted(map(str, value.keys() - {"rules", "seed"})):
                raise FaultsError([unknown[0]], "is unknown; a faults document has rules and a seed")
            rules = value.get("rules")
            if not isinstance(rules, list):
                raise FaultsError(["rules"], "must be a list of rules")
            return FaultDocument(_rules(rules, ("rules",)), _seed(value.get("seed")))
        case _:
            raise FaultsError([], "a list of rules, or an object with rules and a seed, is expected")


def shown_faults(script: FaultScript) -> dict[str, object]:
    """The rules of the moment, and how often each has matched and struck."""
    return {"seed": script.seed, "rules": [_shown_rule(count) for count in script.counts()]}


def _rules(values: Sequence[object], where: tuple[str, ...]) -> tuple[FaultRule, ...]:
    if len(values) > MAX_RULES:
        raise FaultsError(where, f"holds more than {MAX_RULES} rules")
    return tuple(_RuleReader(item, (*where, index)).rule() for index, item in enumerate(values))


def _seed(value: object) -> int | None:
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise FaultsError(["seed"], "must be a whole number")
    return value


class _RuleReader:
    """One rule's fields, each checked where it stands."""

    def __init__(self, value: object, where: tuple[str | int, ...]) -> None:
        if not isinstance(value, dict):
            raise FaultsError(where, "must be an object with an action")
        self._fields = value
        self._where = where
        if unknown := sorted(map(str, value.keys() - _FIELDS)):
            raise self._wrong(unknown[0], f"is unknown; a rule has {', '.join(sorted(_FIELDS))}")

    def rule(self) -> FaultRule:
        on = self._one_of("on", Surface, Surface.API)
        port = self._number("port", 1, 65535)
        if port is not None and on is not Surface.SANDBOX:
            raise self._wrong("port", "is only for rules on: sandbox")
        return FaultRule(
            on=on,
            action=self._one_of("action", Action, None),
            method=self._method(),
            path=self._pattern(),
            port=port,
            nth=self._nth(),
            every=self._number("every", 1, 1_000_000),
            probability=self._probability(),
            times=self._number("times", 1, 1_000_000),
            status=self._number("status", 400, 599) or 500,
            message=self._text("message", "scripted failure"),
            headers=self._headers(),
            milliseconds=self._number("ms", 0, MAX_MILLISECONDS) or 0,
        )

    def _one_of(self, key: str, kind: type[Choice], default: Choice | None) -> Choice:
        value = self._fields.get(key)
        if value is None and default is not None:
            return default
        try:
            return kind(str(value))
        except ValueError:
            raise self._wrong(key, f"must be one of {', '.join(kind)}") from None

    def _method(self) -> str:
        method = self._text("method", "*").upper()
        if method not in _METHODS:
            raise self._wrong("method", "must be an HTTP method, or * for every one")
        return method

    def _pattern(self) -> re.Pattern[str]:
        try:
            return re.compile(self._text("path", ""))
        except re.error as error:
            raise self._wrong("path", f"is not a regular expression: {error}") from error

    def _nth(self) -> frozenset[int] | None:
        """Which requests are struck; when nothing is said of it, the first. An explicit null is every one."""
        given = [key for key in _CHOICES if self._fields.get(key) is not None]
        if len(given) > 1:
            raise self._wrong(given[1], f"cannot be combined with {given[0]}")
        if "nth" not in self._fields:
            return None if given else frozenset({1})
        value = self._fields["nth"]
        numbers = value if isinstance(value, list) else [value]
        if value is None:
            return None
        if not numbers or not all(type(item) is int and item > 0 for item in numbers):
            raise self._wrong("nth", "must be a number from 1, a list of them, or null for every request")
        return frozenset(numbers)

    def _probability(self) -> float | None:
        value = self._fields.get("probability")
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
            raise self._wrong("probability", "must be a number above 0 and at most 1")
        return float(value)

    def _headers(self) -> dict[str, str]:
        value = self._fields.get("headers") or {}
        if not isinstance(value, dict):
            raise self._wrong("headers", "must be an object")
        headers = {str(name): str(text) for name, text in value.items()}
        for name, text in headers.items():
            if _TOKEN.fullmatch(name) is None or not text.isascii() or not text.isprintable():
                raise self._wrong("headers", f"{name!r} is not a header with a plain text")
        return headers

    def _number(self, key: str, low: int, high: int) -> int | None:
        value = self._fields.get(key)
        if value is None:
            return None
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise self._wrong(key, f"must be a whole number between {low} and {high}")
        return value

    def _text(self, key: str, default: str) -> str:
        value = self._fields.get(key)
        if value is None:
            return default
        if not isinstance(value, str):
            raise self._wrong(key, "must be a text")
        return value

    def _wrong(self, key: str, problem: str) -> FaultsError:
        return FaultsError((*self._where, key), problem)


def _shown_rule(count: RuleCount) -> dict[str, object]:
    rule = count.rule
    shown: dict[str, object] = {
        "on": rule.on.value,
        "method": rule.method,
        "path": rule.path.pattern,
        "action": rule.action.value,
    }
    if rule.port is not None:
        shown["port"] = rule.port
    if rule.every is None and rule.probability is None:
        shown["nth"] = None if rule.nth is None else sorted(rule.nth)
    optional = {"every": rule.every, "probability": rule.probability, "times": rule.times}
    shown.update({key: value for key, value in optional.items() if value is not None})
    if rule.action is Action.STATUS:
        shown.update(status=rule.status, message=rule.message)
        if rule.headers:
            shown["headers"] = dict(rule.headers)
    if rule.milliseconds:
        shown["ms"] = rule.milliseconds
    return {**shown, "matched": count.matched, "struck": count.struck}


def _written(where: Sequence[str | int]) -> str:
    """``rules[0].path``."""
    text = ""
    for part in where:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text
