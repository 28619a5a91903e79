"""Outputs, and the state, for people."""

from __future__ import annotations

from collections.abc import Mapping

from rich.console import Console
from rich.text import Text

from nexus.model.state import OutputRecord, ResourceRecord, State
from nexus.model.values import Value
from nexus.render.values import SENSITIVE, plural, short


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
    for address in sorted(state.resources):
        console.print(record_text(state.resources[address]))
    if state.outputs:
        print_outputs(console, state.outputs)


def record_text(record: ResourceRecord) -> Text:
    text = Text.assemble((f"  {record.address}", "address")).append(f"  {record.id}\n", style="faint")
    for name, value in _facts(record).items():
        text.append(f"      {name}: {short(value)}\n")
    return text


def _facts(record: ResourceRecord) -> dict[str, Value]:
    """What a person wants to know: what was asked for and what came of it, without what is empty."""
    facts: dict[str, Value] = {}
    for source in (record.attributes, record.outputs):
        facts.update({name: value for name, value in source.items() if value not in (None, "", [], {}, False)})
    facts.pop("address", None)
    facts.pop("id", None)
    if record.created_at:
        facts["created_at"] = record.created_at
    if record.expires_at:
        facts["expires_at"] = record.expires_at
    return facts
