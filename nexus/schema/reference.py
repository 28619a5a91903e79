"""The reference of the manifest as Markdown tables, made from the same tables as the schema and the check."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from nexus.kinds.base import Field
from nexus.kinds.registry import KINDS
from nexus.model.changes import Effect
from nexus.schema.head import HEAD
from nexus.schema.policies import SHIPPED_RULES
from nexus.schema.sections import SECTIONS, field_schema

Schema = Mapping[str, object]

_EFFECTS: Final[Mapping[Effect, str]] = {
    Effect.REPLACE: "replaces it",
    Effect.IN_PLACE: "in place",
    Effect.SETUP: "done inside it",
    Effect.REBUILD: "a new build",
    Effect.RERUN: "runs again",
    Effect.NONE: "taken into the state",
}
_TYPES: Final = {
    "string": "text",
    "integer": "whole number",
    "number": "number",
    "boolean": "true or false",
    "array": "list",
    "object": "mapping",
}


def sections_table() -> str:
    """The top-level keys of a manifest."""
    head = [(name, str(schema["description"])) for name, schema in HEAD.items()]
    named = [(section.name, section.description) for section in SECTIONS.values()]
    return _table(("key", "meaning"), ((_code(name), text) for name, text in (*head, *named)))


def section_table(name: str) -> str:
    """The fields of a block in a section that belongs to no kind."""
    return _table(
        ("field", "value", "meaning"), ((row[0], row[1], row[3]) for row in _parts(SECTIONS[name].schema, ""))
    )


def shipped_rules_table() -> str:
    """The rules that come with nexus, with the parameters that each takes."""
    rows = []
    for name, rule in SHIPPED_RULES.items():
        parameters = ", ".join(
            f"{_code(item)}{' (required)' if item in rule.required else ''}" for item in rule.parameters
        )
        rows.append((_code(name), parameters, rule.description))
    return _table(("rule", "parameters", "what it asks for"), rows)


def head_table(name: str) -> str:
    """The fields of a key that is no section of named blocks."""
    return _table(("field", "value", "default", "meaning"), _parts(HEAD[name], ""))


def list_table(name: str) -> str:
    """The fields of the items of a key that is a list."""
    items = HEAD[name]["items"]
    assert isinstance(items, Mapping)
    return _table(("field", "value", "meaning"), ((row[0], row[1], row[3]) for row in _parts(items, "")))


def kind_table(name: str) -> str:
    """The fields of a kind's block with their defaults, and what a change of each does."""
    written = [field for field in KINDS[name].fields if not field.computed and not field.meta]
    rows = (row for field in written for row in _field_rows(field))
    return _table(("field", "value", "default", "a change is", "meaning"), rows)


def meta_table(*kinds: str) -> str:
    """The fields about the block itself that these kinds have."""
    found: dict[str, Field] = {}
    for kind in kinds:  # a kind that has less of a field than one before it adds nothing
        for field in KINDS[kind].fields:
            if field.meta:
                found.setdefault(field.name, field)
    rows = []
    for field in found.values():
        parts = list(_parts(field.schema, f"{field.name}."))
        rows += [(_code(field.name), _value(field.schema), field.description)]
        rows += [(row[0], row[1], row[3]) for row in parts]
    return _table(("field", "value", "meaning"), rows)


def changes_table() -> str:
    """The fields of every kind by what changing them does."""
    rows = []
    for kind in KINDS.values():
        fields = [field for field in kind.fields if not field.computed and not field.meta]
        for effect, words in _EFFECTS.items():
            names = [_code(field.name) for field in fields if field.effect is effect]
            if names and kind.section:
                rows.append((kind.name, words, ", ".join(names)))
    return _table(("kind", "a change is", "of the fields"), rows)


def _field_rows(field: Field) -> Iterator[tuple[str, ...]]:
    schema = field_schema(field)
    default = "required" if field.required else _default(schema)
    yield _code(field.name), _value(schema), default, _EFFECTS[field.effect], field.description
    for name, value, part_default, meaning in _parts(schema, f"{field.name}."):
        yield name, value, part_default, "", meaning


def _parts(schema: Schema, prefix: str) -> Iterator[tuple[str, str, str, str]]:
    """Name, value, default and meaning of the keys that a mapping has, or each mapping of a list."""
    branches, items, properties = schema.get("anyOf"), schema.get("items"), schema.get("properties")
    for branch in branches if isinstance(branches, list) else ():
        yield from _parts(branch, prefix)
    if isinstance(items, Mapping):
        yield from _parts(items, f"{prefix.removesuffix('.')}[].")
    required = schema.get("required")
    for name, part in properties.items() if isinstance(properties, Mapping) else ():
        must = isinstance(required, list) and name in required
        meaning = str(part.get("description", ""))
        if meaning:
            yield _code(prefix + name), _value(part), "required" if must else _default(part), meaning


def _value(schema: Schema) -> str:
    """What may stand there, in a few words."""
    choices, title = schema.get("enum"), schema.get("title")
    if isinstance(choices, list):
        return " or ".join(_code(str(choice)) for choice in choices)
    words = title if isinstance(title, str) else _type(schema)
    examples = schema.get("examples")
    return f"{words}, as in {_code(_written(examples[0]))}" if isinstance(examples, list) and examples else words


def _type(schema: Schema) -> str:
    branches = schema.get("anyOf")
    if isinstance(branches, list):
        return " or ".join(dict.fromkeys(_type(branch) for branch in branches))
    types = schema.get("type", list(_TYPES))
    names = [_TYPES[name] for name in (types if isinstance(types, list) else [str(types)]) if name in _TYPES]
    if len(names) == len(_TYPES) or {"list", "mapping", "text"} <= set(names):
        return "any value"
    minimum, maximum = schema.get("minimum"), schema.get("maximum")
    bounds = f" from {minimum}" if minimum is not None else ""
    bounds += f" to {maximum}" if maximum is not None else ""
    return " or ".join(names) + bounds


def _default(schema: Schema) -> str:
    default = schema.get("default")
    return "" if default in (None, [], {}, "") or isinstance(default, dict) else _code(_written(default))


def _written(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|")


def _table(head: tuple[str, ...], rows: Iterable[Iterable[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
