"""Where everything in a manifest's text belongs: the column of whatever begins a line, and the spaces within lines.

Two columns for each level, the dashes of a list below its key, one space after colons and dashes, none inside brackets.
Order, quotes, comments, and where lines break are the user's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from nexus.manifest.syntax import AliasNode, MappingNode, Node, ScalarNode, SequenceNode, parts

STEP: Final = 2
_COLON: Final = re.compile(r"[ \t]*:[ \t]*")
_COMMA: Final = re.compile(r"[ \t]*,[ \t]*")
_END: Final = re.compile(r"[ \t]*,?[ \t]*")
_SPACES: Final = re.compile(r"[ \t]*")
_LINE: Final = re.compile(r"\n[ \t]*")
_HEADER: Final = re.compile(r"[|>](?:[-+]?(?P<width>[1-9])?[-+]?)")


class NotFormattable(ValueError):  # noqa: N818 - it says what the text is, as ValueError does
    """The text is YAML that nobody writes by hand. The message completes «It …»: «has a key with a question mark»."""


@dataclass(frozen=True, slots=True)
class Level:
    """A block collection around something: the column at which its keys or dashes stand, and where they belong."""

    before: int
    after: int


@dataclass(frozen=True, slots=True)
class Body:
    """The lines of a text in a block, by number: ``first`` up to ``end``, with their indentation.

    ``keeps``: blank lines below them would be a part of it.
    """

    first: int
    end: int
    before: int
    after: int
    keeps: bool = False


@dataclass(slots=True)
class Layout:
    """The answer for one text.

    ``columns`` are those of things that may begin a line, by offset; ``levels`` the block collections around them.
    ``gaps`` are spaces to be replaced, as (start, end, new). ``bodies`` are texts in blocks. In the stretches of
    ``quoted`` blank lines and the ends of lines mean something; those of ``flows`` are brackets over several lines.
    """

    columns: dict[int, int] = field(default_factory=dict)
    levels: dict[int, tuple[Level, ...]] = field(default_factory=dict)
    gaps: list[tuple[int, int, str]] = field(default_factory=list)
    bodies: list[Body] = field(default_factory=list)
    quoted: list[tuple[int, int]] = field(default_factory=list)
    flows: list[tuple[int, int]] = field(default_factory=list)


def layout_of(text: str, root: Node) -> Layout:
    """Raises NotFormattable."""
    laying = _Laying(text)
    laying.lay(root, 0, ())
    return laying.layout


class _Laying:
    def __init__(self, text: str) -> None:
        self._text = text
        self.layout = Layout()

    def lay(self, node: Node, column: int, levels: tuple[Level, ...], *, closing: int | None = None) -> None:
        """``column`` is where the node belongs if it begins a line; ``closing``, where a bracket that ends it does."""
        self.layout.columns.setdefault(node.start, column)
        match node:
            case MappingNode(flow=False):
                self._mapping(node, column, levels)
            case SequenceNode(flow=False):
                self._sequence(node, column, levels)
            case MappingNode() | SequenceNode():
                self._flow(node, column if closing is None else closing)
            case ScalarNode() if node.style.is_block:
                self._body(node, levels)
            case ScalarNode():
                self._lines_of(node, column)
            case AliasNode():
                pass

    # ---- blocks

    def _mapping(self, node: MappingNode, column: int, levels: tuple[Level, ...]) -> None:
        inside = (*levels, Level(self._column(node.entries[0][0].start), column))
        for key, value in node.entries:
            if not isinstance(key, ScalarNode | AliasNode) or self._is_explicit(key):
                raise NotFormattable("has a key with a question mark")
            self.layout.columns[key.start] = column
            self.layout.levels[key.start] = inside
            if isinstance(key, ScalarNode):
                self._close_up(key.end, value)
            nested = isinstance(value, MappingNode | SequenceNode) and not value.flow
            own_line = nested or "\n" in self._text[key.end : value.start]
            self.lay(value, column + STEP, inside, closing=column + STEP if own_line else column)

    def _sequence(self, node: SequenceNode, column: int, levels: tuple[Level, ...]) -> None:
        inside = (*levels, Level(self._column(node.dashes[0]), column))
        for dash, item in zip(node.dashes, node.items, strict=True):
            self.layout.columns[dash] = column
            self.layout.levels[dash] = inside
            if item.end > item.start:
                self._gap(dash + 1, item.start, _SPACES, " ")
            self.lay(item, column + STEP, inside)

    def _close_up(self, key_end: int, value: Node) -> None:
        """One space between a key and what is on its line."""
        empty = isinstance(value, ScalarNode) and value.end == value.start
        colon = self._text.find(":", key_end)
        if colon < 0 or not _SPACES.fullmatch(self._text[key_end:colon]):
            return
        end = colon + 1 if empty or "\n" in self._text[colon : value.start] else value.start
        if _COLON.fullmatch(self._text[key_end:end]):
            self.layout.gaps.append((key_end, end, ":" if end == colon + 1 else ": "))

    def _is_explicit(self, key: Node) -> bool:
        line = self._text[self._line_start(key.start) : key.start]
        return re.search(r"(^|[ \t-])\?[ \t]*$", line) is not None

    def _body(self, node: ScalarNode, levels: Sequence[Level]) -> None:
        header_end = self._text.find("\n", node.start)
        if header_end < 0 or header_end >= node.end:
            return
        header = _HEADER.match(self._text, self._text.index(node.style.value, node.start))
        first = self._text.count("\n", 0, node.start) + 1
        lines = self._text[header_end + 1 : node.end].split("\n")
        keeps = header is not None and "+" in header[0]
        if keeps:  # blank lines below it are a part of it
            below = self._text[node.end :]
            lines += [""] * (below[: len(below) - len(below.lstrip())].count("\n") - 1)
        outer = levels[-1] if levels else Level(0, 0)
        width = header["width"] if header is not None else None
        if width is not None:
            before, after = outer.before + int(width), outer.after + int(width)
        else:
            before = next((len(line) - len(line.lstrip(" ")) for line in lines if line.strip(" ")), 0)
            after = outer.after + STEP
        self.layout.bodies.append(Body(first, first + len(lines), before, after, keeps))

    # ---- what has lines of its own

    def _lines_of(self, node: ScalarNode, column: int) -> None:
        """The later lines of a text in quotes, or of one without."""
        if "\n" in self._text[node.start : node.end]:
            self.layout.quoted.append((node.start, node.end))
            for start in self._line_starts(node):
                self.layout.columns[start] = column

    def _flow(self, node: MappingNode | SequenceNode, column: int) -> None:
        self._tighten(node)
        if "\n" not in self._text[node.start : node.end]:
            return
        self.layout.flows.append((node.start, node.end))
        inner = [item for item in parts(node) if isinstance(item, MappingNode | SequenceNode) and item.bracketed]
        for start in self._line_starts(node):
            around = [item for item in inner if item.start < start < item.end]
            closed = any(start == item.end - 1 and item.bracketed for item in around)
            self.layout.columns[start] = column + STEP * (len(around) - closed)
        for item in parts(node):
            if isinstance(item, ScalarNode) and "\n" in self._text[item.start : item.end]:
                self.layout.quoted.append((item.start, item.end))

    def _line_starts(self, node: Node) -> list[int]:
        """Offsets of what begins the lines of ``node`` after its first."""
        return [match.end() for match in _LINE.finditer(self._text, node.start, node.end)]

    def _tighten(self, node: MappingNode | SequenceNode) -> None:
        """No spaces inside of brackets, and one after each comma and colon, wherever no line ends between them."""
        pairs = node.entries if isinstance(node, MappingNode) else [(item, item) for item in node.items]
        ends = [max(key.end, value.end) for key, value in pairs]
        if node.bracketed:
            opening = self._text.index("{" if isinstance(node, MappingNode) else "[", node.start) + 1
            self._gap(opening, pairs[0][0].start if pairs else node.end - 1, _SPACES, "")
            self._gap(ends[-1] if pairs else node.end - 1, node.end - 1, _END, "")
        for end, (key, _) in zip(ends, pairs[1:], strict=False):
            self._gap(end, key.start, _COMMA, ", ")
        for key, value in pairs if isinstance(node, MappingNode) else ():
            if isinstance(key, ScalarNode) and value.end > value.start:
                self._gap(key.end, value.start, _COLON, ": ")
        for _, value in pairs:
            if isinstance(value, MappingNode | SequenceNode):
                self._tighten(value)

    def _gap(self, start: int, end: int, expected: re.Pattern[str], new: str) -> None:
        if expected.fullmatch(self._text[start:end]):
            self.layout.gaps.append((start, end, new))

    # ---- places

    def _column(self, offset: int) -> int:
        return offset - self._line_start(offset)

    def _line_start(self, offset: int) -> int:
        return self._text.rfind("\n", 0, offset) + 1
