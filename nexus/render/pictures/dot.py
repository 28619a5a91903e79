"""A picture in Graphviz' language, for those who lay it out themselves: ``nexus graph --format dot | dot -Tpng``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nexus.render.pictures.labels import badge, member_text, summary, title, tone
from nexus.render.pictures.picture import Node, Picture

_MOST_INSTANCES: Final = 12
_COLORS: Final = {
    "create": "#1a7f37",
    "update": "#9a6700",
    "replace": "#8250df",
    "delete": "#cf222e",
    "run": "#0969da",
    "mixed": "#9a6700",
    "none": "#57606a",
}
_OTHER: Final = "#0969da"


def dot(picture: Picture) -> str:
    """A directed graph; critical edges and nodes are thick."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield f"digraph {_quoted(title(picture))} {{"
    yield "  rankdir=LR;"
    yield '  node [shape=box, style=rounded, fontname="monospace"];'
    if picture.plan is not None:
        yield f"  label={_quoted(summary(picture))};"
    yield from (_node(node) for node in picture.nodes)
    for edge in picture.edges:
        yield f"  {edge.needed} -> {edge.dependant}{' [penwidth=3]' if edge.critical else ''};"
    yield "}"


def _node(node: Node) -> str:
    lines = [str(node.address), badge(node)]
    if node.has_instances:
        lines += [member_text(member) for member in node.members[:_MOST_INSTANCES]]
        if len(node.members) > _MOST_INSTANCES:
            lines.append(f"… {len(node.members) - _MOST_INSTANCES} more")
    width = ", penwidth=3" if node.critical else ""
    shape = ", peripheries=2" if node.has_instances else ""
    color = _COLORS.get(tone(node), _OTHER)
    label = "\\n".join(_escaped(line) for line in lines if line)
    return f'  {node.id} [label="{label}", color="{color}"{width}{shape}];'


def _quoted(text: str) -> str:
    return f'"{_escaped(text)}"'


def _escaped(text: str) -> str:
    """Inside quotes only the quote and the backslash mean something; a line stays a line."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain.replace("\\", "\\\\").replace('"', '\\"')
