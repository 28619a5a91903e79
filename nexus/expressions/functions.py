"""The functions that expressions may call, beside those that CEL brings: one table of name, signature and meaning.

Each takes plain values and gives a plain value. What is wrong with its arguments is said with FunctionError.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

Plain: TypeAlias = "bool | int | float | str | list[Plain] | dict[str, Plain] | None"

RANGE_LIMIT: Final = 100_000


class FunctionError(ValueError):
    """What is wrong with a call, as a sentence without a full stop."""


@dataclass(frozen=True, slots=True)
class Function:
    """``call`` is None for ``file``, which an evaluation binds to the project's files."""

    name: str
    signature: str
    help: str
    call: Callable[..., Plain] | None


def as_text(value: Plain) -> str:
    """How a value reads inside a longer string. Raises FunctionError for null, which has no text."""
    match value:
        case None:
            raise FunctionError("null has no text")
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case float() if value.is_integer() and abs(value) < 1e15:
            return str(int(value))
        case int() | float():
            return str(value)
        case _:
            return _json(value)


def _range(first: int, last: int | None = None) -> Plain:
    start, stop = (0, first) if last is None else (first, last)
    for number in (start, stop):
        if not _is_int(number):
            raise FunctionError("range() takes whole numbers")
    if stop - start > RANGE_LIMIT:
        raise FunctionError(f"range() makes at most {RANGE_LIMIT} numbers")
    return list(range(start, stop))


def _join(items: list[Plain], separator: str = "") -> str:
    return _text(separator, "join").join(as_text(item) for item in _list(items, "join"))


def _split(text: str, separator: str) -> Plain:
    if not _text(separator, "split"):
        raise FunctionError("split() needs a separator")
    return list(_text(text, "split").split(separator))


def _replace(text: str, old: str, new: str) -> str:
    if not _text(old, "replace"):
        raise FunctionError("replace() needs a text to look for")
    return _text(text, "replace").replace(old, _text(new, "replace"))


def _base64decode(text: str) -> str:
    try:
        return base64.b64decode(_text(text, "base64decode"), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise FunctionError("base64decode() was given what is not the base64 form of a text") from error


def _json(value: Plain) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True)


def _jsondecode(text: str) -> Plain:
    def refuse(_number: str) -> Plain:
        raise FunctionError("jsondecode() was given NaN or Infinity, which JSON does not have")

    try:
        decoded: Plain = json.loads(_text(text, "jsondecode"), parse_constant=refuse)
    except (json.JSONDecodeError, RecursionError) as error:
        raise FunctionError("jsondecode() was given a text that is not JSON") from error
    return decoded


def _merge(*maps: dict[str, Plain]) -> Plain:
    merged: dict[str, Plain] = {}
    for item in maps:
        merged.update(_map(item, "merge"))
    return merged


def _length(value: Plain) -> int:
    if not isinstance(value, str | list | dict):
        raise FunctionError("length() takes a string, a list or a map")
    return len(value)


def _extreme(name: str, choose: Callable[..., Plain]) -> Callable[..., Plain]:
    def call(*values: Plain) -> Plain:
        items = values[0] if len(values) == 1 and isinstance(values[0], list) else list(values)
        numbers = all(isinstance(item, int | float) and not isinstance(item, bool) for item in items)
        if not items or not (numbers or all(isinstance(item, str) for item in items)):
            raise FunctionError(f"{name}() takes at least one value, all numbers or all strings")
        return choose(items)

    return call


_PLACEHOLDER = re.compile(r"%(?:%|[-+0 ]*\d{0,3}(?:\.\d{1,2})?[sdfxX])")


def _format(template: str, *values: Plain) -> str:
    remaining = list(values)

    def fill(match: re.Match[str]) -> str:
        placeholder = match.group()
        if placeholder == "%%":
            return "%"
        if not remaining:
            raise FunctionError("format() has more placeholders than values")
        value = remaining.pop(0)
        try:
            return placeholder % (as_text(value) if placeholder.endswith("s") else value)
        except TypeError as error:
            raise FunctionError(f"format() was given a value that does not fit {placeholder}") from error

    text = _PLACEHOLDER.sub(fill, _text(template, "format"))
    if remaining:
        raise FunctionError("format() has more values than placeholders")
    return text


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise FunctionError(f"{name}() takes a string where it was given {kind_of(value)}")
    return value


def _list(value: object, name: str) -> list[Plain]:
    if not isinstance(value, list):
        raise FunctionError(f"{name}() takes a list where it was given {kind_of(value)}")
    return value


def _map(value: object, name: str) -> dict[str, Plain]:
    if not isinstance(value, dict):
        raise FunctionError(f"{name}() takes a map where it was given {kind_of(value)}")
    return value


def kind_of(value: object) -> str:
    """The type of a value in the words of the reference: «a list», «null»."""
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int():
            return "a whole number"
        case float():
            return "a number" if math.isfinite(value) else "a number without end"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "a map"
        case bytes():
            return "bytes"
        case _:
            return "a value that JSON does not have"


def _table(*functions: Function) -> Mapping[str, Function]:
    return {function.name: function for function in functions}


FUNCTIONS: Final = _table(
    Function("file", "file(path)", "Text of a file of the project", None),
    Function(
        "range", "range(n) or range(first, end)", "Whole numbers from 0 (or first) up to, without, the end", _range
    ),
    Function("join", "join(list, separator)", "Items as one text; also list.join(separator)", _join),
    Function("split", "split(text, separator)", "Parts of a text; also text.split(separator)", _split),
    Function("replace", "replace(text, old, new)", "The text with every old replaced by new", _replace),
    Function("lower", "lower(text)", "In lower case", lambda text: _text(text, "lower").lower()),
    Function("upper", "upper(text)", "In upper case", lambda text: _text(text, "upper").upper()),
    Function("trim", "trim(text)", "Without spaces at both ends", lambda text: _text(text, "trim").strip()),
    Function("format", "format(template, values…)", "Fills %s, %d, %f and %x, with widths as in %02d", _format),
    Function(
        "base64",
        "base64(text)",
        "Base64 of the text in UTF-8",
        lambda text: base64.b64encode(_text(text, "base64").encode()).decode(),
    ),
    Function("base64decode", "base64decode(text)", "Inverse of base64", _base64decode),
    Function(
        "sha256",
        "sha256(text)",
        "Hex SHA-256 of the text in UTF-8",
        lambda text: hashlib.sha256(_text(text, "sha256").encode()).hexdigest(),
    ),
    Function("json", "json(value)", "The value as JSON text, keys sorted", _json),
    Function("jsondecode", "jsondecode(text)", "The value that a JSON text means", _jsondecode),
    Function("string", "string(value)", "The value as it reads inside a longer string", as_text),
    Function("keys", "keys(map)", "Keys of a map, sorted", lambda value: [*sorted(_map(value, "keys"))]),
    Function(
        "values",
        "values(map)",
        "Values of a map, in the order of its sorted keys",
        lambda value: [value[key] for key in sorted(_map(value, "values"))],
    ),
    Function("merge", "merge(maps…)", "One map of all; later ones win", _merge),
    Function("length", "length(value)", "Number of characters, items or keys", _length),
    Function("min", "min(values…) or min(list)", "The least of numbers or strings", _extreme("min", min)),
    Function("max", "max(values…) or max(list)", "The greatest of numbers or strings", _extreme("max", max)),
)

CEL_FUNCTIONS: Final = frozenset(
    {
        *("size", "int", "uint", "double", "string", "bytes", "type", "has", "duration", "timestamp"),
        *("contains", "startsWith", "endsWith", "matches", "all", "exists", "exists_one", "filter", "map"),
        *("getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek", "getDayOfYear"),
        *("getHours", "getMinutes", "getSeconds", "getMilliseconds"),
    }
)
"""What CEL brings itself, macros included."""
