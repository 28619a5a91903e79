"""Walks a value along a JSON Schema and notes what does not fit, in words for people.

It knows the part of JSON Schema that the kinds' field tables use, and two things that JSON Schema does not: an
expression fits everywhere, and where several forms are allowed the one that was meant is told by its type.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from nexus.kinds.reading import label, shown
from nexus.model.values import Fingerprint, Sensitive, Unknown, Value
from nexus.schema.findings import Finding, Path, examples
from nexus.schema.suggestions import did_you_mean

Schema = Mapping[str, object]
EXPRESSION: Final = "${{"
_NAMES_OF_TYPES: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a mapping",
    "null": "nothing",
}


class Walk:
    """One walk; what it finds is in ``findings``.

    ``expressions`` says whether they may stand for any value; ``refers``, whether outputs of resources may stand for
    texts. ``depth`` is how many parts of a path only say which block it is, and need not be in every message. A
    ``discreet`` walk does not repeat values: somebody may have written a secret where its name belongs.
    """

    def __init__(
        self, *, expressions: bool = True, refers: bool = False, depth: int = 0, discreet: bool = False
    ) -> None:
        self._expressions = expressions
        self._refers = refers
        self._depth = depth
        self._discreet = discreet
        self.findings: list[Finding] = []

    def check(self, schema: Schema, value: Value, path: Path) -> None:
        if isinstance(value, str) and EXPRESSION in value:
            if not self._expressions:
                self._add("expression-not-allowed", path, f"{self._label(path)} is written without expressions")
            return
        if isinstance(value, Unknown | Fingerprint):
            return
        if isinstance(value, Sensitive):
            self._secret(schema, value.value, path)
            return
        if self._refers and isinstance(value, dict) and isinstance(value.get("address"), str):
            return
        branches = schema.get("anyOf")
        if isinstance(branches, list):
            self._any_of(schema, branches, value, path)
            return
        types = schema.get("type")
        if types is not None and not _has_type(value, types):
            if not (self._refers and isinstance(value, dict) and _allows(types, "string")):
                self._wrong_type(schema, value, path)
            return
        choices = schema.get("enum")
        if isinstance(choices, list) and value not in choices:
            self._not_chosen(choices, value, path)
        match value:
            case str():
                self._text(schema, value, path)
            case bool() | None:
                pass
            case int() | float():
                self._number(schema, value, path)
            case list():
                self._list(schema, value, path)
            case dict():
                self._mapping(schema, value, path)

    def _secret(self, schema: Schema, value: Value, path: Path) -> None:
        """The same rules; what they find tells nothing of the value."""
        walk = Walk(expressions=self._expressions, refers=self._refers, depth=self._depth)
        walk.check(schema, value, path)
        if walk.findings:
            self._add(walk.findings[0].code, path, f"{self._label(path)} holds a secret that does not fit here")

    def _any_of(self, schema: Schema, branches: list[Schema], value: Value, path: Path) -> None:
        fitting = [branch for branch in branches if _has_type(value, branch.get("type", list(_NAMES_OF_TYPES)))]
        if not fitting:
            if not (self._refers and isinstance(value, dict)):
                self._wrong_type(schema, value, path)
        elif len(fitting) == 1 and isinstance(value, list | dict):
            self.check(fitting[0], value, path)
        elif not any(self._fits(branch, value) for branch in fitting):
            self._add("invalid-value", path, f"{self._label(path)} must be {_wanted(schema)}, not {shown(value)}")

    def _fits(self, schema: Schema, value: Value) -> bool:
        walk = Walk(expressions=self._expressions, refers=self._refers)
        walk.check(schema, value, ())
        return not walk.findings

    def _text(self, schema: Schema, value: str, path: Path) -> None:
        minimum = schema.get("minLength")
        if isinstance(minimum, int) and len(value) < minimum:
            self._add("invalid-value", path, f"{self._label(path)} can't be empty")
        pattern = schema.get("pattern")
        if isinstance(pattern, str) and not _compiled(pattern).search(value):
            wanted = "an absolute path" if pattern == "^/" else _wanted(schema)
            hint = _nearest_example(schema, value)
            self._add("invalid-value", path, f"{self._label(path)} must be {wanted}, not {shown(value)}", hint=hint)

    def _number(self, schema: Schema, value: float, path: Path) -> None:
        minimum, maximum = schema.get("minimum"), schema.get("maximum")
        if isinstance(minimum, int) and value < minimum:
            self._add("invalid-value", path, f"{self._label(path)} must be at least {minimum}, not {shown(value)}")
        if isinstance(maximum, int) and value > maximum:
            self._add("invalid-value", path, f"{self._label(path)} must be at most {maximum}, not {shown(value)}")

    def _list(self, schema: Schema, value: list[Value], path: Path) -> None:
        minimum, items = schema.get("minItems"), schema.get("items")
        if isinstance(minimum, int) and len(value) < minimum:
            self._add("invalid-value", path, f"{self._label(path)} can't be empty")
        if isinstance(items, Mapping):
            for index, item in enumerate(value):
                self.check(items, item, (*path, index))

    def _mapping(self, schema: Schema, value: dict[str, Value], path: Path) -> None:
        properties, others = schema.get("properties"), schema.get("additionalProperties", True)
        known: Schema = properties if isinstance(properties, Mapping) else {}
        names = schema.get("propertyNames")
        for key, item in value.items():
            part = known.get(key)
            if isinstance(part, Mapping):
                self.check(part, item, (*path, key))
            elif others is False:
                self._unknown_key(key, known, path)
            else:
                if isinstance(names, Mapping):
                    self._name(names, key, path)
                if isinstance(others, Mapping):
                    self.check(others, item, (*path, key))
        self._counts(schema, value, known, path)

    def _counts(self, schema: Schema, value: dict[str, Value], known: Schema, path: Path) -> None:
        required = schema.get("required")
        for key in required if isinstance(required, list) else ():
            if key not in value:
                self._add("missing-field", path, f"{self._label((*path, key))} is missing", at_key=True)
        minimum, maximum = schema.get("minProperties"), schema.get("maxProperties")
        choice = f"one of {', '.join(known)}" if known else "something"
        if isinstance(minimum, int) and len(value) < minimum:
            self._add("missing-field", path, f"{self._label(path)} needs {choice}", at_key=True)
        if isinstance(maximum, int) and len(value) > maximum:
            self._add("conflicting-fields", path, f"{self._label(path)} takes only {choice}", at_key=True)

    def _name(self, names: Schema, key: str, path: Path) -> None:
        pattern = names.get("pattern")
        if isinstance(pattern, str) and not _compiled(pattern).search(key):
            wanted = "an absolute path" if pattern == "^/" else "made of letters, digits and _, with a letter first"
            self._add(
                "invalid-name", (*path, key), f"{shown(key)} in {self._label(path)} must be {wanted}", at_key=True
            )

    def _unknown_key(self, key: str, known: Schema, path: Path) -> None:
        where = f" in {self._label(path)}" if path else ""
        hint = did_you_mean(key, known) or f"known here: {', '.join(known)}"
        self._add("unknown-field", (*path, key), f"There is no field {key}{where}", hint=hint, at_key=True)

    def _wrong_type(self, schema: Schema, value: Value, path: Path) -> None:
        if value is None:
            self._add("wrong-type", path, f"{self._label(path)} has no value", hint="give it one, or leave it out")
        else:
            what = _NAMES_OF_TYPES[_type_of(value)] if self._discreet else shown(value)
            hint = _as_meant(schema, value, str(path[-1])) if path else ""
            self._add("wrong-type", path, f"{self._label(path)} must be {_wanted(schema)}, not {what}", hint=hint)

    def _not_chosen(self, choices: list[Value], value: Value, path: Path) -> None:
        words = [str(choice) for choice in choices]
        hint = did_you_mean(value, words) if isinstance(value, str) else ""
        self._add(
            "invalid-value",
            path,
            f"{self._label(path)} must be one of {', '.join(words)}, not {shown(value)}",
            hint=hint,
        )

    def _label(self, path: Path) -> str:
        return label(path[self._depth :]) or label(path[-1:])

    def _add(self, code: str, path: Path, message: str, *, hint: str = "", at_key: bool = False) -> None:
        self.findings.append(Finding(code=code, path=path, message=message, hint=hint, at_key=at_key))


_READ_FROM: Final = frozenset(("env", "from_env", "env_var", "file", "command", "secret", "valueFrom", "secretKeyRef"))
"""Keys by which secrets are read, here and in other tools."""


def _as_meant(schema: Schema, value: Value, name: str) -> str:
    """How a value of another type is written: itself in the right form, or else an example of the field."""
    types = schema.get("type")
    if isinstance(value, dict) and value and _READ_FROM.issuperset(value):
        return "declare what comes from outside under secrets, and write ${{ secrets.NAME }} here"
    if _allows(types, "array") and isinstance(value, str | int | float):
        return f"a list of one is [{value}]"
    if (
        isinstance(value, str)
        and re.fullmatch(r"-?\d+", value)
        and (_allows(types, "integer") or _allows(types, "number"))
    ):
        return f"write {value} without quotes"
    fields = schema.get("properties")
    if isinstance(fields, dict) and name in fields:
        return f"{name} is a field: indent it below the name of what it belongs to"
    if isinstance(fields, dict) and {"source", "path"} <= fields.keys():
        return "as in {source: ./app, path: /srv/app}"
    found = schema.get("examples")
    shapes = [item for item in found if isinstance(item, dict | list)] if isinstance(found, list) else []
    if shapes:
        return f"as in {name}: {json.dumps(shapes[0], ensure_ascii=False)}"
    if "propertyNames" in schema and isinstance(value, list):
        return f"give each a name instead of a dash, as in {name}: {{my-name: …}}"
    return ""


def _type_of(value: Value) -> str:
    return next((name for name in _NAMES_OF_TYPES if _has_type(value, name)), "string")


def _has_type(value: Value, types: object) -> bool:
    match value:
        case None:
            return _allows(types, "null")
        case bool():
            return _allows(types, "boolean")
        case int():
            return _allows(types, "integer") or _allows(types, "number")
        case float():
            return _allows(types, "number") or (value.is_integer() and _allows(types, "integer"))
        case str():
            return _allows(types, "string")
        case list():
            return _allows(types, "array")
        case dict():
            return _allows(types, "object")
        case _:
            return True


def _allows(types: object, name: str) -> bool:
    return name in types if isinstance(types, list) else types == name


def _wanted(schema: Schema) -> str:
    """What the schema wants, in words: its title, or its types."""
    title = schema.get("title")
    if isinstance(title, str):
        return f"a {title}{examples(schema)}"
    branches = schema.get("anyOf")
    parts = branches if isinstance(branches, list) else [schema]
    types: list[str] = []
    for part in parts:
        found = part.get("type", [])
        types.extend(map(str, found) if isinstance(found, list) else [str(found)])
    words = [_NAMES_OF_TYPES[name] for name in dict.fromkeys(types) if name != "null"]
    wanted = " or ".join(filter(None, [", ".join(words[:-1]), words[-1] if words else ""]))
    pattern = schema.get("pattern")
    return f"{wanted}{f' that matches {pattern}' if pattern else examples(schema)}"


def _nearest_example(schema: Schema, value: str) -> str:
    """The one that was meant, where the examples are all the words that may begin the text."""
    words = schema.get("examples")
    if not isinstance(words, list) or len(words) < 3:
        return ""
    return did_you_mean(re.split(r"[.\[]", value)[0], map(str, words))


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
