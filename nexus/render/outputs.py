"""Outputs, and the state, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rich.console import Console
from rich.text import Text

from nexus.model.changes import Effect, FieldDiff
from nexus.model.state import OutputRecord, ResourceRecord, State
from nexus.model.values import Value
from nexus.render.bundles import key_order
from nexus.render.console import wrapping_width
from nexus.render.fields import new_field
from nexus.render.values import LIMIT, SENSITIVE, plural, short

_DIGITS: Final = 3
_MARGIN: Final = 8
"""Columns before a name, and between it and its value."""


def print_outputs(console: Console, outputs: Mapping[str, OutputRecord]) -> None:
    """One line an output: name, value, and what it is for."""
    console.print(Text("Outputs:", style="bold"))
    width = max(map(len, outputs), default=0)
    for name, output in outputs.items():
        line = Text(f"  {name:<{width}} = ").append(SENSITIVE if output.sensitive else short(output.value, 200))
        if output.description:
            line.append(f"  # {output.description}", style="faint")
        console.print(line)


def raw(value: Value) -> str:
    """A value for a shell: texts as they are, everything else as JSON on one line."""
    return value if isinstance(value, str) else short(value, 1_000_000)


def print_state(console: Console, state: State) -> None:
    """What there is, a block a resource, and the outputs."""
    if not state.resources:
        console.print(Text("The state is empty. Nothing was applied yet, or everything was destroyed."))
        return
    where = f" on {state.target}" if state.target else ""
    count = plural(len(state.resources), "resource")
    console.print(Text(f"{count} of {state.project}, environment {state.environment}{where}", style="bold"))
    for address in sorted(state.resources, key=key_order):
        console.print(record_text(state.resources[address], wrapping_width(console) or LIMIT))
    if state.outputs:
        print_outputs(console, state.outputs)


def record_text(record: ResourceRecord, width: int = LIMIT) -> Text:
    """A resource, and below it what is known of it, aligned as the fields of a plan."""
    text = Text.assemble((f"  {record.address}", "address")).append(f"  {record.id}\n", style="faint")
    facts = _facts(record)
    names = max(map(len, facts), default=0)
    for name, value in facts.items():
        shown = new_field(FieldDiff(path=name, before=None, after=value, effect=Effect.NONE), width - names - _MARGIN)
        text.append(f"      {name:<{names}}  ", style="faint").append_text(shown).append("\n")
    return text


def _facts(record: ResourceRecord) -> dict[str, Value]:
    """What a person wants to know: what was asked for and what came of it, without what is empty."""
    facts: dict[str, Value] = {}
    for source in (record.attributes, record.outputs):
        told = {name: _in_short(_without_nothing(value)) for name, value in source.items()}
        facts.update({name: value for name, value in told.items() if not _is_nothing(value) and value is not False})
    facts.pop("address", None)
    facts.pop("id", None)
    if record.created_at:
        facts["created_at"] = record.created_at
    if record.expires_at:
        facts["expires_at"] = record.expires_at
    return facts


def _in_short(value: Value) -> Value:
    """Files that a step left as their paths, which is how its plan shows them."""
    match value:
        case {"path": str() as path, "sha256": str()}:
            return path
        case dict():
            return {name: _in_short(item) for name, item in value.items()}
        case _:
            return value


def _without_nothing(value: Value) -> Value:
    """A mapping without the entries that hold nothing; a measured number without digits that nobody reads."""
    if isinstance(value, float):
        return round(value, _DIGITS)
    return {name: item for name, item in value.items() if not _is_nothing(item)} if isinstance(value, dict) else value


def _is_nothing(value: Value) -> bool:
    return value in (None, "", [], {})
