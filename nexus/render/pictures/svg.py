"""A picture as SVG: for web pages and documents, and the heart of the interactive page.

Colours come from classes, so that a dark reader gets dark colours; what happens to a node also stands in it as a sign
and a word. Everything that users named is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files
from typing import Final

from nexus.render.pictures.labels import badge, member_action, member_text, summary, title, tone
from nexus.render.pictures.layout import Box, Layout, Point, Size, lay_out
from nexus.render.pictures.picture import Edge, Node, Picture

_CHARACTER: Final = 7.3
"""How wide a character of the monospaced font is, at 12 pixels."""
_PADDING: Final = 12.0
_LINE: Final = 18.0
_LEAST_WIDTH: Final = 150.0
_LONGEST_NAME: Final = 34
_LONGEST_KEY: Final = 12
_CHIPS_IN_A_ROW: Final = 4
_MOST_CHIPS: Final = 12
_CHIP_GAP: Final = 6.0
_CHIP_HEIGHT: Final = 17.0
_MARGIN: Final = 16.0


def svg(picture: Picture) -> str:
    """A document of its own, with its title and the meaning of its colours."""
    head = f"<title>{escape(title(picture))}</title><desc>{escape(summary(picture))}</desc>"
    style = f"<style>{stylesheet('graph.css')}</style>"
    words = (
        f'<text class="title" x="0" y="-34">{escape(title(picture))}</text>'
        f'<text class="faint" x="0" y="-14">{escape(summary(picture))}</text>'
    )
    least = _CHARACTER * max(len(title(picture)), len(summary(picture)))
    return _document(picture, head + style, words, room_above=56.0, least_width=least) + "\n"


def drawing(picture: Picture) -> str:
    """The drawing alone, for a page that has the stylesheet already; nodes can be reached with the keyboard."""
    return _document(picture, "", "", room_above=0.0, least_width=0.0)


def stylesheet(name: str) -> str:
    """A stylesheet or a script of this package."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _document(picture: Picture, head: str, words: str, *, room_above: float, least_width: float) -> str:
    layout = lay_out(
        {node.id: _size(node) for node in picture.nodes}, [(edge.needed, edge.dependant) for edge in picture.edges]
    )
    width = max(layout.width, least_width) + 2 * _MARGIN
    height = layout.height + room_above + 2 * _MARGIN
    view = f"{-_MARGIN:g} {-_MARGIN - room_above:g} {width:g} {height:g}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" class="graph" viewBox="{view}" '
        f'width="{width:g}" height="{height:g}" role="group" aria-label="{escape(title(picture))}">',
        head,
        _ARROWS,
        words,
        *(_edge(edge, layout) for edge in picture.edges),
        *(_node(node, layout.boxes[node.id]) for node in picture.nodes),
        "</svg>",
    ]
    return "".join(parts)


_ARROWS: Final = "<defs>{}</defs>".format(
    "".join(
        f'<marker id="{name}" class="{name}" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="9" markerHeight="9" '
        'markerUnits="userSpaceOnUse" orient="auto"><path d="M0 0 L8 4 L0 8 z"/></marker>'
        for name in ("arrow", "arrow-critical")
    )
)


def _edge(edge: Edge, layout: Layout) -> str:
    mark = " critical" if edge.critical else ""
    arrow = "arrow-critical" if edge.critical else "arrow"
    path = _curve(layout.routes[edge.needed, edge.dependant])
    return (
        f'<path class="edge{mark}" data-needed="{edge.needed}" data-dependant="{edge.dependant}" d="{path}" '
        f'marker-end="url(#{arrow})"/>'
    )


def _curve(points: Sequence[Point]) -> str:
    """Through all points, level at each of them."""
    (x, y), *rest = points
    parts = [f"M{x:.1f} {y:.1f}"]
    for to_x, to_y in rest:
        bend = (x + to_x) / 2
        parts.append(f"C{bend:.1f} {y:.1f} {bend:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}")
        x, y = to_x, to_y
    return "".join(parts)


def _size(node: Node) -> Size:
    rows = len(_chip_rows(node))
    words = max(len(_name(node)) * 1.08, len(_kind(node)) + len(badge(node)) + 3)
    chips = max((_chips_width(row) for row in _chip_rows(node)), default=0.0)
    width = max(_LEAST_WIDTH, words * _CHARACTER, chips) + 2 * _PADDING
    return Size(width, 2 * _PADDING + 2 * _LINE + rows * (_CHIP_HEIGHT + _CHIP_GAP) - (0 if rows else 4))


def _node(node: Node, box: Box) -> str:
    critical = " critical" if node.critical else ""
    spoken = f"{node.address} {badge(node)}{', on the critical path' if node.critical else ''}".strip()
    return "".join(
        [
            f'<g class="node {tone(node)}{critical}" data-node="{node.id}" tabindex="0" role="button" '
            f'aria-label="{escape(spoken)}" transform="translate({box.x:.1f} {box.y:.1f})">',
            f"<title>{escape(spoken)}</title>",
            f'<rect class="box" width="{box.width:.1f}" height="{box.height:.1f}" rx="7"/>',
            _words("kind", _PADDING, _PADDING + 10, _kind(node)),
            _words("badge", box.width - _PADDING, _PADDING + 10, badge(node)),
            _words("name", _PADDING, _PADDING + 10 + _LINE, _name(node)),
            *_chips(node),
            "</g>",
        ]
    )


def _words(style: str, x: float, y: float, text: str) -> str:
    return f'<text class="{style}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>' if text else ""


def _kind(node: Node) -> str:
    return f"{node.address.kind} × {len(node.members)}" if node.has_instances else node.address.kind


def _name(node: Node) -> str:
    return cut(str(node.address).removeprefix(f"{node.address.kind}."), _LONGEST_NAME)


def _chip_rows(node: Node) -> list[list[tuple[int, str, str]]]:
    """Rows of an instance's number, its text, and its tone; what there is no room for is counted."""
    if not node.has_instances:
        return []
    chips = [
        (number, cut(member_text(member), _LONGEST_KEY), str(member_action(member) or "none"))
        for number, member in enumerate(node.members[:_MOST_CHIPS])
    ]
    if len(node.members) > _MOST_CHIPS:
        chips[-1] = (-1, f"… {len(node.members) - _MOST_CHIPS + 1} more", "none")
    return [chips[start : start + _CHIPS_IN_A_ROW] for start in range(0, len(chips), _CHIPS_IN_A_ROW)]


def _chip_width(text: str) -> float:
    return len(text) * _CHARACTER * 0.92 + 10


def _chips_width(row: Sequence[tuple[int, str, str]]) -> float:
    return sum(_chip_width(text) + _CHIP_GAP for _, text, _ in row) - _CHIP_GAP


def _chips(node: Node) -> Iterator[str]:
    y = _PADDING + 2 * _LINE
    for row in _chip_rows(node):
        x = _PADDING
        for number, text, style in row:
            width = _chip_width(text)
            yield f'<g class="chip {style}" data-member="{number}" transform="translate({x:.1f} {y:.1f})">'
            yield f'<rect width="{width:.1f}" height="{_CHIP_HEIGHT:g}" rx="4"/>'
            yield f'<text x="5" y="12.5">{escape(text)}</text></g>'
            x += width + _CHIP_GAP
        y += _CHIP_HEIGHT + _CHIP_GAP


def cut(text: str, limit: int) -> str:
    """Short, and without what XML does not allow."""
    plain = "".join(sign if sign.isprintable() else " " for sign in text)
    return plain if len(plain) <= limit else f"{plain[: limit - 1]}…"
