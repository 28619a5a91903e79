"""Edits of a manifest's text that leave everything else of it as it is, to the byte: comments, quotes, order, layout.

Each edit changes the lines of one value. What comes out is read again: an edit that would mean anything but what was
asked for (because of an anchor, a merge, an expression in its place) is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from nexus.manifest.source_map import Path
from nexus.manifest.syntax import AliasNode, MappingNode, Node, ScalarNode, SequenceNode, Style, parts, read_tree
from nexus.manifest.writing import Indentation, entry_lines, flow_text, item_lines, scalar_text
from nexus.manifest.yaml_reader import read_yaml
from nexus.model.values import Scalar, Value

_BOM: Final = "\ufeff"
_REST_OF_AN_ITEM: Final = re.compile(r"[ \t]*,?[ \t]*(#[^\r\n]*)?")


class NotEditable(ValueError):  # noqa: N818 - it says what the text is, as ValueError does
    """The text can't be edited so. The message completes «It is written so that …»: «env_vars is an expression»."""


def with_value(text: str, path: Path, value: Scalar) -> str:
    """The text with ``value`` at ``path``; what is missing on the way there is added. Raises NotEditable."""
    return _made(text, lambda edit: edit.put(path, value), _put(read_yaml(text).value, path, value))


def with_item(text: str, path: Path, value: Scalar) -> str:
    """The text with ``value`` as the last item of the list at ``path``, made where missing. Raises NotEditable."""
    return _made(text, lambda edit: edit.append(path, value), _appended(read_yaml(text).value, path, value))


def without(text: str, path: Path, *, keep: int = 0) -> str:
    """The text without what is at ``path``, and without the collections that this leaves empty.

    The first ``keep`` parts of the path stay, whatever they hold then. Raises NotEditable.
    """
    edit = _Edit(text)
    gone = edit.emptied_by(path, keep)
    return _checked(text, edit.remove(gone), _removed(read_yaml(text).value, gone))


class _Edit:
    """One edit of one text: every method gives the whole text anew."""

    def __init__(self, text: str, *, blocks: bool = True) -> None:
        self._bom = _BOM if text.startswith(_BOM) else ""
        self._text = text.removeprefix(_BOM)
        self._newline = "\r\n" if "\r\n" in text else "\n"
        self._root = read_tree(self._text)
        self._indentation = replace(_habit(self._text, self._root), blocks=blocks)

    def put(self, path: Path, value: Value) -> str:
        """A scalar goes into the place of a scalar; collections are only made where there is nothing."""
        node, key, flow = self._root, None, False
        for index, part in enumerate(path):
            match node:
                case MappingNode():
                    flow = flow or node.flow
                    entry = node.entry(str(part))
                    if entry is None:
                        return self._add(node, str(part), _nested(path[index + 1 :], value))
                    key, node = entry
                case SequenceNode() if isinstance(part, int) and part < len(node.items):
                    flow = flow or node.flow
                    key, node = None, node.items[part]
                case ScalarNode(is_null=True) if key is not None:
                    return self._fill(key, node, _nested(path[index:], value), flow=flow)
                case _:
                    raise NotEditable(f"{_name(path[:index])} is {_what(node)}")
        if isinstance(value, list) and isinstance(node, ScalarNode) and key is not None:
            return self._fill(key, node, value, flow=flow)
        return self._replace(node, _name(path), value, flow=flow)

    def append(self, path: Path, value: Value) -> str:
        found = self._find(path)
        match found:
            case None | (ScalarNode(is_null=True), _):
                return self.put(path, [value])
            case (SequenceNode(flow=True) as node, _):
                return self._insert_in_flow(node, node.items, flow_text(value))
            case (SequenceNode() as node, _):
                return self._insert_after(node.end, item_lines(value, self._column(node.dashes[0]), self._indentation))
            case (node, _):
                raise NotEditable(f"{_name(path)} is {_what(node)}")

    def emptied_by(self, path: Path, keep: int) -> Path:
        """``path``, or the shortest part of it that holds nothing else."""
        is_there = self._find(path) is not None
        while is_there and len(path) - 1 > keep and self._size(path[:-1]) == 1:
            path = path[:-1]
        return path

    def remove(self, path: Path) -> str:
        found = self._find(path[:-1])
        node, key = found if found is not None else (None, None)
        match node:
            case MappingNode():
                starts = [name.start for name, _ in node.entries]
                ends = [max(name.end, value.end) for name, value in node.entries]
                names = [name.text if isinstance(name, ScalarNode) else None for name, _ in node.entries]
                index = names.index(str(path[-1])) if str(path[-1]) in names else -1
            case SequenceNode():
                starts = [item.start for item in node.items] if node.flow else list(node.dashes)
                ends = [item.end for item in node.items]
                index = path[-1] if isinstance(path[-1], int) and path[-1] < len(starts) else -1
            case _:
                raise NotEditable(f"{_name(path[:-1])} is {_what(node)}")
        if index < 0:
            raise NotEditable(f"{_name(path)} is not written there, but comes from elsewhere")
        if node.flow:
            return self._cut_from_flow(starts, ends, index)
        if len(starts) == 1 and key is not None:
            colon = self._text.index(":", key.end) + 1
            return self._with(colon, node.end, " {}" if isinstance(node, MappingNode) else " []")
        return self._cut_lines(starts[index], max(starts[index] + 1, ends[index]))

    # ---- finding

    def _find(self, path: Path) -> tuple[Node, ScalarNode | None] | None:
        """What is written at ``path``, and the key that it stands under; None where nothing is."""
        node, key = self._root, None
        for part in path:
            match node:
                case MappingNode():
                    entry = node.entry(str(part))
                    if entry is None:
                        return None
                    key, node = entry
                case SequenceNode() if isinstance(part, int) and part < len(node.items):
                    key, node = None, node.items[part]
                case ScalarNode(is_null=True):
                    return None
                case _:
                    raise NotEditable(f"{_name(path)} is in {_what(node)}")
        return None if node is None else (node, key)

    def _size(self, path: Path) -> int:
        found = self._find(path)
        match found:
            case (MappingNode(entries=entries), _):
                return len(entries)
            case (SequenceNode(items=items), _):
                return len(items)
            case _:
                return 0

    def _column(self, offset: int) -> int:
        return offset - self._line_start(offset)

    def _line_start(self, offset: int) -> int:
        return self._text.rfind("\n", 0, offset) + 1

    def _line_end(self, offset: int) -> int:
        """Where the line break of the line of ``offset`` is, or the end of the text."""
        found = self._text.find("\n", offset)
        return len(self._text) if found < 0 else found

    # ---- changing

    def _with(self, start: int, end: int, new: str) -> str:
        return self._bom + self._text[:start] + new + self._text[end:]

    def _replace(self, node: Node | None, name: str, value: Value, *, flow: bool) -> str:
        match node:
            case AliasNode(start, end):
                return self._with(start, end, scalar_text(value, flow=flow))
            case ScalarNode() if not node.anchored:
                style = Style.PLAIN if node.style.is_block else node.style
                space = " " if self._text[node.start - 1 : node.start] in (":", "-") else ""
                return self._with(node.start, node.end, space + scalar_text(value, flow=flow, style=style))
            case _:
                raise NotEditable(f"{name} is {_what(node)}")

    def _add(self, node: MappingNode, key: str, value: Value) -> str:
        if node.flow:
            entry = f"{scalar_text(key, flow=True)}: {flow_text(value)}"
            return self._insert_in_flow(node, [item for _, item in node.entries], entry, [k for k, _ in node.entries])
        column = self._column(node.entries[0][0].start)
        return self._insert_after(node.end, entry_lines(key, value, column, self._indentation))

    def _fill(self, key: ScalarNode, node: ScalarNode, value: Value, *, flow: bool) -> str:
        """A collection in the place of a null."""
        if node.anchored:
            raise NotEditable(f"{key.text} is {_what(node)}")
        if flow:
            space = "" if node.end > node.start else " "
            return self._with(node.start, node.end, space + flow_text(value))
        colon = self._text.index(":", key.end) + 1
        _, *lines = entry_lines(key.text, value, self._column(key.start), self._indentation)
        line_end = self._line_end(node.end)
        rest = self._text[node.end : line_end]
        below = "".join(f"{self._newline}{line}" for line in lines)
        return self._with(colon, line_end - rest.endswith("\r"), rest.rstrip("\r") + below)

    def _insert_after(self, offset: int, lines: Sequence[str]) -> str:
        """Lines below the line of ``offset``."""
        end = self._line_end(offset)
        if end == len(self._text):
            return self._with(end, end, self._newline + "".join(f"{line}{self._newline}" for line in lines))
        return self._with(end + 1, end + 1, "".join(f"{line}{self._newline}" for line in lines))

    def _insert_in_flow(
        self, node: MappingNode | SequenceNode, values: Sequence[Node], entry: str, keys: Sequence[Node] = ()
    ) -> str:
        """One more entry before the closing bracket: on a line of its own where the last one has one."""
        closing = node.end - 1
        if not node.bracketed:
            raise NotEditable("a single pair in a list can't be added to")
        if not values:
            opening = self._text.index("{" if isinstance(node, MappingNode) else "[", node.start) + 1
            inner = self._text[opening:closing]
            return self._with(opening, closing, entry + (inner if inner.strip() else ""))
        end = max(item.end for item in (values[-1], *keys[-1:]))
        start = (keys or values)[-1].start
        comma = re.match(r"\s*,", self._text[end:closing])
        after = end + (comma.end() if comma else 0)
        line = self._line_start(start)
        if line <= node.start or self._text[line:start].strip():
            return self._with(after, after, f" {entry}," if comma else f", {entry}")
        new = f"{self._newline}{self._text[line:start]}{entry}"
        line_end = min(self._line_end(after), closing)
        if comma:
            return self._with(line_end, line_end, f"{new},") if line_end < closing else self._with(after, after, new)
        kept = self._text[end:line_end].rstrip("\r") if line_end < closing else ""
        tail = self._text[end + len(kept) :]
        return f"{self._bom}{self._text[:end]},{kept}{new}{tail}"

    def _cut_lines(self, start: int, end: int) -> str:
        line = self._line_start(start)
        if self._text[line:start].strip():
            raise NotEditable("what is to be removed shares its line with something else")
        return self._with(line, min(self._line_end(end) + 1, len(self._text)), "")

    def _cut_from_flow(self, starts: Sequence[int], ends: Sequence[int], index: int) -> str:
        start, end, last = starts[index], ends[index], len(starts) - 1
        line, line_end = self._line_start(start), self._line_end(end)
        rest = self._text[end:line_end].rstrip("\r")
        if not self._text[line:start].strip() and _REST_OF_AN_ITEM.fullmatch(rest):
            return self._with(line, min(line_end + 1, len(self._text)), "")
        if index < last:
            return self._with(start, starts[index + 1], "")
        if index > 0:
            return self._with(ends[index - 1], end, "")
        comma = re.match(r"\s*,", self._text[end:])
        return self._with(start, end + (comma.end() if comma else 0), "")


def _habit(text: str, root: Node | None) -> Indentation:
    """How this text is indented, where it tells."""
    steps, dashes = [2], [2]
    for node in () if root is None else parts(root):
        for key, value in node.entries if isinstance(node, MappingNode) and not node.flow else ():
            column = key.start - (text.rfind("\n", 0, key.start) + 1)
            if isinstance(value, MappingNode) and not value.flow:
                first = value.entries[0][0].start
                steps.append(first - (text.rfind("\n", 0, first) + 1) - column)
            if isinstance(value, SequenceNode) and not value.flow:
                dashes.append(value.dashes[0] - (text.rfind("\n", 0, value.dashes[0]) + 1) - column)
    return Indentation(step=steps[-1], dash=dashes[-1])


def _what(node: Node | None) -> str:
    match node:
        case AliasNode():
            return "an alias of something that stands elsewhere"
        case ScalarNode(anchored=True) | MappingNode(anchored=True) | SequenceNode(anchored=True):
            return "anchored, so that others may use it too"
        case ScalarNode(text=text) if "${{" in text:
            return "an expression"
        case ScalarNode():
            return "a single value"
        case MappingNode():
            return "a mapping"
        case SequenceNode():
            return "a list"
        case None:
            return "not written there"


def _name(path: Path) -> str:
    return ".".join(map(str, path[2:] or path)) or "the file"


def _nested(path: Path, value: Value) -> Value:
    for part in reversed(path):
        value = {str(part): value}
    return value


# ---- what an edit has to come to


def _made(text: str, make: Callable[[_Edit], str], wanted: Value) -> str:
    """The edit, with texts of several lines on one line where a comment below would become a part of them."""
    try:
        return _checked(text, make(_Edit(text)), wanted)
    except NotEditable:
        return _checked(text, make(_Edit(text, blocks=False)), wanted)


def _checked(before: str, after: str, wanted: Value) -> str:
    document = read_yaml(after)
    if document.diagnostics or document.value != wanted:
        raise NotEditable("it can't be changed alone: an anchor, an alias or a merge is involved")
    return before if read_yaml(before).value == wanted else after


def _put(plain: Value, path: Path, value: Value) -> Value:
    if not path:
        return value
    if isinstance(plain, list) and isinstance(path[0], int):
        return [_put(item, path[1:], value) if index == path[0] else item for index, item in enumerate(plain)]
    known = plain if isinstance(plain, dict) else {}
    return {**known, str(path[0]): _put(known.get(str(path[0])), path[1:], value)}


def _appended(plain: Value, path: Path, value: Value) -> Value:
    if not path:
        return [*(plain if isinstance(plain, list) else ()), value]
    if isinstance(plain, list) and isinstance(path[0], int):
        return [_appended(item, path[1:], value) if index == path[0] else item for index, item in enumerate(plain)]
    known = plain if isinstance(plain, dict) else {}
    return {**known, str(path[0]): _appended(known.get(str(path[0])), path[1:], value)}


def _removed(plain: Value, path: Path) -> Value:
    first, rest = path[0], path[1:]
    if isinstance(plain, list):
        changed = [] if not rest else [_removed(item, rest) for item in plain[int(first) : int(first) + 1]]
        return [*plain[: int(first)], *changed, *plain[int(first) + 1 :]]
    known = plain if isinstance(plain, dict) else {}
    if rest:
        return {**known, str(first): _removed(known.get(str(first)), rest)}
    return {key: item for key, item in known.items() if key != str(first)}
