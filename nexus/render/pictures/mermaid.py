"""A picture as Mermaid: what Git forges draw in pull requests and Markdown pages.

Ids are ours; what users called things stands in quoted labels alone, with all that could mean something to Mermaid, or
to the HTML it makes, written as character references.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from nexus.render.pictures.labels import badge, member_action, member_text, summary, tone
from nexus.render.pictures.picture import Node, Picture

_MOST_INSTANCES: Final = 8
_LONGEST: Final = 60
_STYLES: Final = {
    "create": "fill:#dafbe1,stroke:#1a7f37,color:#0a3315",
    "update": "fill:#fff8c5,stroke:#9a6700,color:#3b2300",
    "replace": "fill:#fbefff,stroke:#8250df,color:#2e1461",
    "delete": "fill:#ffebe9,stroke:#cf222e,color:#4c0910",
    "run": "fill:#ddf4ff,stroke:#0969da,color:#0a3069",
    "other": "fill:#ddf4ff,stroke:#57606a,color:#0a3069",
    "mixed": "fill:#fff8c5,stroke:#57606a,color:#3b2300",
    "none": "fill:#f6f8fa,stroke:#8c959f,color:#24292f",
}


def mermaid(picture: Picture) -> str:
    """A flowchart; critical edges and nodes are thick."""
    return "\n".join(_lines(picture)) + "\n"


def _lines(picture: Picture) -> Iterator[str]:
    yield "flowchart LR"
    if picture.plan is not None:
        yield f"  %% {_comment(summary(picture))}"
    classes: dict[str, list[str]] = {}
    for node in picture.nodes:
        yield from _node(node, classes)
    thick: list[str] = []
    for number, edge in enumerate(picture.edges):
        yield f"  {edge.needed} {'==>' if edge.critical else '-->'} {edge.dependant}"
        if edge.critical:
            thick.append(str(number))
    for name, ids in classes.items():
        yield f"  classDef {name} {_STYLES[name]};"
        yield f"  class {','.join(ids)} {name};"
    critical = [node.id for node in picture.nodes if node.critical]
    if critical:
        yield "  classDef critical stroke-width:4px;"
        yield f"  class {','.join(critical)} critical;"
    if thick:
        yield f"  linkStyle {','.join(thick)} stroke-width:4px;"


def _node(node: Node, classes: dict[str, list[str]]) -> Iterator[str]:
    words = badge(node)
    if not node.has_instances:
        classes.setdefault(_class(tone(node)), []).append(node.id)
        yield f'  {node.id}["{_label(str(node.address), words)}"]'
        return
    if len(node.members) > _MOST_INSTANCES:
        classes.setdefault(_class(tone(node)), []).append(node.id)
        yield f'  {node.id}[["{_label(f"{node.address} × {len(node.members)}", words)}"]]'
        return
    yield f'  subgraph {node.id}["{_label(str(node.address))}"]'
    for number, member in enumerate(node.members):
        action = member_action(member)
        classes.setdefault(_class(action.value if action else "none"), []).append(f"{node.id}m{number}")
        yield f'    {node.id}m{number}["{_label(member_text(member))}"]'
    yield "  end"


def _class(tone: str) -> str:
    return tone if tone in _STYLES else "other"


def _label(*lines: str) -> str:
    return "<br/>".join(_escaped(line) for line in lines if line)


def _escaped(text: str) -> str:
    """Letters and digits as they are; the rest by number, as Mermaid writes references.

    Hyphens and underscores too: Mermaid takes a line that begins with ``- `` for a list, and will not draw it.
    """
    short = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return "".join(sign if sign.isalnum() or sign in " .…×" else f"#{ord(sign)};" for sign in short)


def _comment(text: str) -> str:
    return "".join(sign if sign.isprintable() and sign not in "{}%" else " " for sign in text)
