"""YAML text → a tree of what is written where: the ground that edits and the layout of manifests stand on.

Unlike the reader's values it knows aliases, styles and merge keys as they are written. Only for texts that the reader
found nothing wrong with.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

import yaml

from nexus.manifest.scalars import read_plain


class Style(StrEnum):
    PLAIN = ""
    SINGLE = "'"
    DOUBLE = '"'
    LITERAL = "|"
    FOLDED = ">"

    @property
    def is_block(self) -> bool:
        return self in (Style.LITERAL, Style.FOLDED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalarNode:
    """``start`` and ``end`` are offsets in the text, an anchor included; ``text`` is what it says."""

    start: int
    end: int
    style: Style
    text: str
    anchored: bool = False

    @property
    def is_null(self) -> bool:
        return self.style is Style.PLAIN and read_plain(self.text) is None


@dataclass(frozen=True, slots=True)
class AliasNode:
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingNode:
    """``end`` of one in block style is that of its last value.

    ``bracketed``: it stands in braces; a single pair in a list, as in ``[a: 1]``, needs none.
    """

    start: int
    end: int
    flow: bool
    entries: tuple[tuple[Node, Node], ...]
    anchored: bool = False
    bracketed: bool = False

    def value(self, key: str) -> Node | None:
        """What is written under this key, here and not by way of a merge."""
        entry = self.entry(key)
        return None if entry is None else entry[1]

    def entry(self, key: str) -> tuple[ScalarNode, Node] | None:
        for name, value in self.entries:
            if isinstance(name, ScalarNode) and name.text == key:
                return name, value
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class SequenceNode:
    """``dashes`` are the offsets of the items' dashes; empty in flow style."""

    start: int
    end: int
    flow: bool
    items: tuple[Node, ...]
    dashes: tuple[int, ...] = ()
    anchored: bool = False

    @property
    def bracketed(self) -> bool:
        return self.flow


Node: TypeAlias = "ScalarNode | AliasNode | MappingNode | SequenceNode"


def read_tree(text: str) -> Node | None:
    """The tree of the one document; None where there is nothing in it. Raises yaml.YAMLError for what is no YAML."""
    parser = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
    return _Building(text, parser.get_event).document()


def parts(node: Node) -> Iterator[Node]:
    """The node and everything in it, in the order of the text."""
    yield node
    match node:
        case MappingNode():
            for key, value in node.entries:
                yield from parts(key)
                yield from parts(value)
        case SequenceNode():
            for item in node.items:
                yield from parts(item)


def _offset(mark: Any) -> int:
    return int(mark.index)


class _Building:
    def __init__(self, text: str, following: Any) -> None:
        self._text = text
        self._next = following

    def document(self) -> Node | None:
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        return self._node(self._next())

    def _node(self, event: Any) -> Node:
        start, kind = _offset(event.start_mark), type(event)
        if kind is yaml.AliasEvent:
            return AliasNode(start, _offset(event.end_mark))
        if kind is yaml.ScalarEvent:
            return self._scalar(event, start)
        return self._mapping(event, start) if kind is yaml.MappingStartEvent else self._sequence(event, start)

    def _scalar(self, event: Any, start: int) -> ScalarNode:
        style = Style(event.style or "")
        end = _offset(event.end_mark)
        if style.is_block:  # the parser reads on to the next thing
            end = start + len(self._text[start:end].rstrip())
        return ScalarNode(start=start, end=end, style=style, text=event.value, anchored=event.anchor is not None)

    def _mapping(self, event: Any, start: int) -> MappingNode:
        entries: list[tuple[Node, Node]] = []
        following = self._next()
        while type(following) is not yaml.MappingEndEvent:
            key = self._node(following)
            entries.append((key, self._node(self._next())))
            following = self._next()
        flow = bool(event.flow_style)
        end = _offset(following.end_mark) if flow else max(node.end for node in entries[-1])
        return MappingNode(
            start=start,
            end=end,
            flow=flow,
            entries=tuple(entries),
            anchored=event.anchor is not None,
            bracketed=flow
            and self._text[end - 1 : end] == "}"
            and end > max((v.end for _, v in entries), default=start),
        )

    def _sequence(self, event: Any, start: int) -> SequenceNode:
        items: list[Node] = []
        dashes: list[int] = []
        flow = bool(event.flow_style)
        following = self._next()
        while type(following) is not yaml.SequenceEndEvent:
            if not flow:
                dashes.append(self._dash(following, items[-1].end if items else start))
            items.append(self._node(following))
            following = self._next()
        end = _offset(following.end_mark) if flow else max(items[-1].end, dashes[-1] + 1)
        return SequenceNode(
            start=start,
            end=end,
            flow=flow,
            items=tuple(items),
            dashes=tuple(dashes),
            anchored=event.anchor is not None,
        )

    def _dash(self, item: Any, after: int) -> int:
        """The dash before an item: the first one at the left edge of a line, or of what is on it before the item."""
        position = after
        end = _offset(item.start_mark)
        while position < end:
            character = self._text[position]
            if character == "#" and self._text[position - 1 : position] in ("", " ", "\t", "\n", "\r"):
                line_end = self._text.find("\n", position)
                position = len(self._text) if line_end < 0 else line_end
            elif character == "-" and self._text[position + 1 : position + 2] in ("", " ", "\t", "\n", "\r"):
                return position
            position += 1
        return end
