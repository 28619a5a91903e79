"""The reference of the tools, made from the tools themselves, for the documentation."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from nexus.mcp.server import TOOLS
from nexus.mcp.tools import Effect

_EFFECTS: Mapping[Effect, str] = {
    Effect.READS: "reads only",
    Effect.ADDS: "adds",
    Effect.SETTLES: "changes; again the same",
    Effect.RUNS: "may destroy",
    Effect.REPLACES: "may destroy; again the same",
}


def tools_table() -> str:
    """All of them, a line each."""
    rows = ["| tool | what it does | effect |\n| --- | --- | --- |\n"]
    rows += [f"| [`{tool.name}`](#{tool.name}) | {tool.title} | {_EFFECTS[tool.effect]} |\n" for tool in TOOLS]
    return "".join(rows)


def tools_reference() -> str:
    """What each of them takes and answers."""
    return "\n".join("".join(_tool(number)) for number in range(len(TOOLS)))


def _tool(number: int) -> Iterator[str]:
    tool = TOOLS[number]
    yield f"### {tool.name}\n\n{tool.description}\n\n"
    yield "| argument | type | meaning |\n| --- | --- | --- |\n"
    schema = tool.input_schema()
    properties, required = schema["properties"], schema.get("required", [])
    assert isinstance(properties, dict)
    assert isinstance(required, list)
    for name, field in properties.items():
        yield f"| `{name}` | {_type(field)} | {_meaning(field, needed=name in required)} |\n"
    yield f"\nIts document: `schemas/{tool.answers}.schema.json`.\n"


def _type(field: Mapping[str, object]) -> str:
    match field:
        case {"enum": list(words)}:
            return ", ".join(f"`{word}`" for word in words)
        case {"anyOf": list(choices)}:
            return " or ".join(_type(choice) for choice in choices if choice.get("type") != "null")
        case {"type": "array", "items": Mapping() as item}:
            return f"list of {_type(item)}"
        case {"type": "object"}:
            return "mapping"
        case _:
            return str(field.get("type", "anything"))


def _meaning(field: Mapping[str, object], *, needed: bool) -> str:
    text = str(field.get("description", ""))
    default = field.get("default")
    if needed:
        return f"**Needed.** {text}"
    return text if default in (None, "", [], {}) else f"{text} Default: `{json.dumps(default)}`.".strip()
