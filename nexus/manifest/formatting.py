"""A manifest's text in the one layout that `nexus fmt` gives: the same values, comments and order, in even lines.

What comes out is read again and compared: a text that would mean anything else is refused.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from nexus.manifest.layout import Body, Layout, Level, NotFormattable, layout_of
from nexus.manifest.syntax import MappingNode, Node, ScalarNode, parts, read_tree
from nexus.manifest.yaml_reader import read_yaml

_BOM: Final = "\ufeff"
_MARKER: Final = re.compile(r"(---|\.\.\.)[ \t]*(#.*)?|%.*")
_COMMENT: Final = re.compile(r"(?:^|(?<=[ \t\n]))#[^\n]*")


def formatted(text: str) -> str:
    """The text of a manifest that the reader finds nothing wrong with, laid out. Raises NotFormattable."""
    newline = "\r\n" if text.partition("\n")[0].endswith("\r") else "\n"
    plain = text.removeprefix(_BOM).replace("\r\n", "\n")
    if "\r" in plain:
        raise NotFormattable("has line ends that only old systems know")
    root = read_tree(plain)
    lines = _Lines(plain, Layout() if root is None else layout_of(plain, root), root).laid_out()
    after = "".join(f"{line}\n" for line in lines)
    _compare(plain, root, after)
    return after.replace("\n", newline)


def _compare(before: str, root: Node | None, after: str) -> None:
    old, new = read_yaml(before), read_yaml(after)
    comments = _comments(before, root)
    if new.diagnostics or new.value != old.value or _comments(after, read_tree(after)) != comments:
        raise NotFormattable("is written in a way that no layout but its own can keep")


def _comments(text: str, root: Node | None) -> list[str]:
    return [text[start:end].rstrip() for start, end in _comment_spans(text, root)]


def _comment_spans(text: str, root: Node | None) -> Iterator[tuple[int, int]]:
    """Stretches of comments: what begins with # where no value is."""
    position = 0
    for start, end in [*_value_spans(text, root), (len(text), len(text))]:
        for match in _COMMENT.finditer(text, position, start):
            yield match.span()
        position = max(position, end)


def _value_spans(text: str, root: Node | None) -> Iterator[tuple[int, int]]:
    for node in () if root is None else parts(root):
        if not isinstance(node, ScalarNode) or node.end == node.start:
            continue
        if not node.style.is_block:
            yield node.start, node.end
            continue
        body = text.find("\n", node.start, node.end)
        yield node.start, node.start + 1
        if body >= 0:
            yield body, node.end


@dataclass(slots=True)
class _Line:
    """One line as it comes out. ``comment`` is where a comment after something else begins, else -1.

    ``comment_before`` is the column at which it began, ``gap`` how many spaces were before it. ``section``: a key of
    the manifest itself begins here. ``blank`` is a line that means nothing; below a ``kept`` one it would mean
    something.
    """

    text: str
    number: int
    comment: int = -1
    comment_before: int = -1
    gap: int = 0
    section: bool = False
    blank: bool = False
    kept: bool = False
    is_comment: bool = False


class _Lines:
    """The lines of one text on their way to their new places."""

    def __init__(self, text: str, layout: Layout, root: Node | None) -> None:
        self._text = text
        self._layout = layout
        self._root = root
        self._source = text.split("\n")
        self._starts = _offsets(self._source)
        self._gaps = sorted(layout.gaps)
        self._comments = [start for start, _ in _comment_spans(text, root)]
        self._comment_lines = set(self._comments)
        self._bodies: Mapping[int, Body] = {
            number: body for body in layout.bodies for number in range(body.first, body.end)
        }
        self._sections = _sections(root)

    def laid_out(self) -> list[str]:
        lines = [self._line(number) for number in range(len(self._source))]
        _align_comments(lines)
        return [line.text for line in self._spaced(lines)]

    def _line(self, number: int) -> _Line:
        source, start = self._source[number], self._starts[number]
        body = self._bodies.get(number)
        if body is not None:
            return _Line(_in_body(source, body), number, kept=body.keeps)
        first = start + len(source) - len(source.lstrip(" \t"))
        inside = next((span for span in self._layout.quoted if span[0] < start <= span[1]), None)
        if first == start + len(source) and inside is None:
            return _Line("", number, blank=True)
        if first in self._comment_lines and inside is None:
            column = self._comment_column(number, first)
            return _Line(f"{' ' * column}{source.strip()}", number, is_comment=True)
        if inside is None and _MARKER.fullmatch(source) and first not in self._layout.columns:
            return _Line(source.rstrip(), number)
        place = self._layout.columns.get(first)
        if place is None:
            raise NotFormattable("has something at the left edge that only a parser understands")
        return self._written(number, first, place if source.strip(" \t") else 0)

    def _written(self, number: int, first: int, column: int) -> _Line:
        """A line with something on it: its new indentation, its gaps closed, a comment at its end."""
        end = self._starts[number] + len(self._source[number])
        following = bisect_right(self._comments, first)
        comment = min(self._comments[following], end) if following < len(self._comments) else end
        pieces, position = [" " * column], first
        for index in range(bisect_left(self._gaps, (first, 0, "")), len(self._gaps)):
            start, stop, new = self._gaps[index]
            if stop > comment:
                break
            pieces += [self._text[position:start], new]
            position = stop
        content = "".join(pieces) + self._text[position:comment]
        if comment < end:
            code = content.rstrip()
            gap = len(content) - len(code)
            text = f"{code}{' ' * max(gap, 1)}{self._text[comment:end].rstrip()}"
            before = comment - self._starts[number]
            return _Line(text, number, len(code) + max(gap, 1), before, gap, section=first in self._sections)
        open_quote = any(span[0] < end < span[1] for span in self._layout.quoted)
        return _Line(content if open_quote else content.rstrip(), number, section=first in self._sections)

    # ---- comments with lines of their own

    def _comment_column(self, number: int, first: int) -> int:
        """With what follows, unless it stands further to the right: then with what it closes."""
        flow = next((span for span in self._layout.flows if span[0] < first < span[1]), None)
        if flow is not None:
            return self._layout.columns.get(first, 0)
        column = first - self._starts[number]
        following, above = self._block_below(number), self._block_above(number)
        least = -1 if following is None else following.before
        closing = [level for level in above if least < level.before <= column]
        if column > least and closing:
            return closing[-1].after
        return 0 if following is None else following.after

    def _block_below(self, number: int) -> Level | None:
        for later in range(number + 1, len(self._source)):
            levels = self._levels_at(later)
            if levels:
                return levels[-1]
        return None

    def _block_above(self, number: int) -> Sequence[Level]:
        for earlier in range(number - 1, -1, -1):
            levels = self._levels_at(earlier)
            if levels:
                return levels
        return ()

    def _levels_at(self, number: int) -> tuple[Level, ...]:
        """The collections around the last key or dash that begins in this line, the line's own first."""
        if number in self._bodies:
            return ()
        start, end = self._starts[number], self._starts[number] + len(self._source[number])
        first = start + len(self._source[number]) - len(self._source[number].lstrip(" \t"))
        return self._layout.levels.get(first, ()) if first < end else ()

    # ---- blank lines

    def _spaced(self, lines: Sequence[_Line]) -> list[_Line]:
        """At most one blank line in a row, one around every section of several lines, none where something begins."""
        spaced: list[_Line] = []
        for index, line in enumerate(lines):
            if line.blank and (not spaced or spaced[-1].blank or _opens(spaced[-1], lines[index:])):
                continue
            if line.section and self._parts_sections(line.number):
                _part(spaced, line)
            spaced.append(line)
        while spaced and spaced[-1].blank:
            spaced.pop()
        return spaced

    def _parts_sections(self, number: int) -> bool:
        """Whether the section that begins here, or the one before it, has several lines."""
        starts = sorted(self._sections)
        index = next(i for i, start in enumerate(starts) if self._starts[number] <= start)
        ends = [self._sections[start] for start in starts[max(index - 1, 0) : index + 1]]
        begins = starts[max(index - 1, 0) : index + 1]
        return index > 0 and any("\n" in self._text[a:b] for a, b in zip(begins, ends, strict=True))


def _opens(line: _Line, below: Sequence[_Line]) -> bool:
    """Whether what comes below the blank lines is inside of what this line begins."""
    code = line.text[: line.comment] if line.comment >= 0 else line.text
    following = next((item for item in below if not item.blank), None)
    if line.is_comment or not code.rstrip().endswith(":") or following is None:
        return False
    return _indentation(following) > _indentation(line)


def _indentation(line: _Line) -> int:
    return len(line.text) - len(line.text.lstrip(" "))


def _part(spaced: list[_Line], line: _Line) -> None:
    """A blank line above the comments that belong to what comes, unless there is one."""
    position = len(spaced)
    while position and spaced[position - 1].is_comment and spaced[position - 1].text.startswith("#"):
        position -= 1
    if position and not spaced[position - 1].blank and not spaced[position - 1].kept:
        spaced.insert(position, _Line("", line.number, blank=True))


def _align_comments(lines: Sequence[_Line]) -> None:
    """Comments that stood in one column, line after line, stand in one column again."""
    group: list[_Line] = []
    for line in [*lines, _Line("", len(lines))]:
        if line.comment >= 0 and group and line.comment_before == group[-1].comment_before:
            group.append(line)
            continue
        if len(group) > 1:
            column = max(len(item.text[: item.comment].rstrip()) for item in group) + min(item.gap for item in group)
            for item in group:
                code = item.text[: item.comment].rstrip()
                item.text = f"{code:<{column}}{item.text[item.comment :]}"
        group = [line] if line.comment >= 0 else []


def _in_body(source: str, body: Body) -> str:
    if not source.strip(" ") and len(source) <= body.before:
        return ""
    if source[: body.before].strip(" "):
        raise NotFormattable("has a text whose lines are not indented evenly")
    return f"{' ' * body.after}{source[body.before :]}"


def _sections(root: Node | None) -> dict[int, int]:
    """Where the manifest's own keys begin, and where their values end."""
    if not isinstance(root, MappingNode) or root.flow:
        return {}
    return {key.start: max(key.end, value.end) for key, value in root.entries}


def _offsets(lines: Sequence[str]) -> list[int]:
    offsets, position = [], 0
    for line in lines:
        offsets.append(position)
        position += len(line) + 1
    return offsets
