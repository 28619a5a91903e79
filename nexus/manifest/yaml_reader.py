"""One YAML text → plain values and their places, in one pass over the parser's events.

Nothing of YAML that can run code or blow up memory gets through: no tags, bounded depth, bounded aliases.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import yaml

from nexus.manifest.scalars import read_plain
from nexus.manifest.source_map import Entry, Mark, Spot, stretch
from nexus.manifest.syntax_hints import syntax_hint
from nexus.model.diagnostics import Diagnostic, Diagnostics, SourcePos, SourceRange, error
from nexus.model.values import Value

MAX_BYTES: Final = 10_000_000
MAX_DEPTH: Final = 64
MAX_ALIASES: Final = 10_000
MAX_ALIASED_VALUES: Final = 1_000_000
MERGE: Final = "<<"

Plain: TypeAlias = Value
"""A value that holds nothing but what JSON can say."""


@dataclass(frozen=True, slots=True)
class Document:
    """One file's value (None when it is empty or can't be read), its places, and what is wrong with it."""

    file: str
    value: Plain = None
    spot: Spot | None = None
    diagnostics: tuple[Diagnostic, ...] = ()


@dataclass(slots=True)
class _Node:
    """A finished value. ``aliases`` and ``size`` count what it holds once all its aliases are followed."""

    value: Plain
    spot: Spot
    aliases: int = 0
    size: int = 1


class _Abort(Exception):  # noqa: N818 - it ends the reading, after its reason was noted
    """Going on would make no sense, or be dangerous."""


def read_yaml(content: bytes | str, file: str = "nexus.yaml") -> Document:
    """Reads one document. Never raises: whatever is wrong is in the document's diagnostics."""
    diagnostics = Diagnostics()
    text = content if isinstance(content, str) else _decode(content, file, diagnostics)
    if text is None:
        return Document(file, diagnostics=tuple(diagnostics))
    if len(text) > MAX_BYTES or (isinstance(content, bytes) and len(content) > MAX_BYTES):
        diagnostics.add(error("file-too-large", "The file is larger than 10 MB", range=_place(file, 1, 1)))
        return Document(file, diagnostics=tuple(diagnostics))
    node = None
    with _without_collection():
        try:
            node = _Reader(text, file, diagnostics).document()
        except _Abort:
            pass
        except yaml.YAMLError as problem:
            diagnostics.add(_syntax_error(problem, text, file))
        except (UnicodeError, ValueError) as problem:
            diagnostics.add(error("yaml-syntax", f"The file is not valid YAML: {problem}", range=_place(file, 1, 1)))
    if node is None:
        return Document(file, diagnostics=tuple(diagnostics))
    return Document(file, node.value, node.spot, tuple(diagnostics))


@contextmanager
def _without_collection() -> Iterator[None]:
    """No garbage collection: reading makes many objects, and none of them is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _decode(content: bytes, file: str, diagnostics: Diagnostics) -> str | None:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        before = content[: problem.start]
        line = before.count(b"\n") + 1
        column = len(before.rpartition(b"\n")[2].decode("utf-8", "replace")) + 1
        diagnostics.add(
            error(
                "not-utf-8",
                "The file is not UTF-8 text",
                detail=f"Byte {problem.start} begins no character.",
                hint="save the file as UTF-8",
                range=_place(file, line, column),
            )
        )
        return None


class _Reader:
    """Builds nodes from events. Recursive, as deep as MAX_DEPTH allows."""

    def __init__(self, text: str, file: str, diagnostics: Diagnostics) -> None:
        parser = yaml.CSafeLoader(text) if yaml.__with_libyaml__ else yaml.SafeLoader(text)
        self._next: Any = parser.get_event
        self._file = file
        self._diagnostics = diagnostics
        self._anchors: dict[str, _Node | None] = {}
        self._aliases = 0
        self._aliased_values = 0

    def document(self) -> _Node | None:
        """The only document of the stream, or None when there is nothing in it."""
        self._next()
        if isinstance(self._next(), yaml.StreamEndEvent):
            return None
        node = self._node(self._next(), 0)
        self._next()
        following = self._next()
        if not isinstance(following, yaml.StreamEndEvent):
            self._fail("several-documents", "A file holds one YAML document", following, hint="remove the line ---")
        return node

    def _node(self, event: Any, depth: int) -> _Node | None:
        """The value that begins with ``event``; None for an alias of nothing, which is left out."""
        kind = type(event)
        if kind is yaml.AliasEvent:
            return self._alias(event)
        if event.tag is not None:
            self._fail(
                "yaml-tag",
                f"Tags such as {event.tag.replace('tag:yaml.org,2002:', '!!')} are not allowed",
                event,
                hint="quote a value to make it a text",
            )
        if kind is yaml.ScalarEvent:
            # Only an unquoted scalar is anything but a text.
            value = read_plain(event.value) if event.implicit[0] else event.value
            node = _Node(value, Spot(self._file, event.start_mark, event.end_mark))
            if event.anchor is not None:
                self._anchors[event.anchor] = node
            return node
        if depth >= MAX_DEPTH:
            self._fail("too-deep", f"Values are nested more than {MAX_DEPTH} levels deep", event)
            raise _Abort
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        node = self._mapping(event, depth) if kind is yaml.MappingStartEvent else self._sequence(event, depth)
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> _Node | None:
        name = event.anchor
        node = self._anchors.get(name)
        if node is None:
            known = name in self._anchors
            self._fail(
                "yaml-alias",
                f"The alias *{name} is inside its own anchor" if known else f"There is no anchor &{name} above this",
                event,
            )
            return None
        self._aliases += 1 + node.aliases
        self._aliased_values += node.size
        if self._aliases > MAX_ALIASES or self._aliased_values > MAX_ALIASED_VALUES:
            self._fail("too-many-aliases", f"More than {MAX_ALIASES} aliases are followed", event)
            raise _Abort
        return _Node(node.value, node.spot, node.aliases + 1, node.size)

    def _sequence(self, event: Any, depth: int) -> _Node:
        values: list[Plain] = []
        spots: list[Spot] = []
        node = _Node(values, Spot(self._file, event.start_mark, event.end_mark, items=spots))
        following = self._next()
        while type(following) is not yaml.SequenceEndEvent:
            item = self._node(following, depth + 1)
            if item is not None:
                values.append(item.value)
                spots.append(item.spot)
                node.aliases += item.aliases
                node.size += item.size
            following = self._next()
        self._close(node.spot, event, following, spots[-1] if spots else None)
        return node

    def _mapping(self, event: Any, depth: int) -> _Node:
        values: dict[str, Plain] = {}
        entries: dict[str, Entry] = {}
        merged: list[_Node] = []
        node = _Node(values, Spot(self._file, event.start_mark, event.end_mark, entries=entries))
        last: Spot | None = None
        following = self._next()
        while type(following) is not yaml.MappingEndEvent:
            key = self._key(following, depth)
            item = self._node(self._next(), depth + 1)
            if item is not None:
                node.aliases += item.aliases
                node.size += item.size
                last = item.spot
                if key == MERGE and _is_plain(following):
                    merged.extend(self._merges(item, following))
                elif key is not None and key in entries:
                    self._duplicate(key, entries[key], following)
                elif key is not None:
                    values[key] = item.value
                    entries[key] = Entry(self._file, following.start_mark, following.end_mark, item.spot)
            following = self._next()
        for other in merged:
            _merge(node, other)
        self._close(node.spot, event, following, last)
        return node

    def _key(self, event: Any, depth: int) -> str | None:
        """The text of a key: keys are always texts, whatever they look like."""
        if type(event) is yaml.AliasEvent:
            node = self._alias(event)
            if node is None:
                return None
            if isinstance(node.value, str):
                return node.value
        elif type(event) is yaml.ScalarEvent:
            if event.tag is not None or event.anchor is not None:
                self._node(event, depth)
            if event.value or not event.implicit[0]:
                return str(event.value)
        else:
            self._node(event, depth + 1)
        hint = (
            'an expression is written "${{ … }}", in quotes within braces'
            if type(event) is yaml.MappingStartEvent
            else ""
        )
        self._fail("invalid-key", "A key is a text", event, hint=hint)
        return None

    def _merges(self, node: _Node, key: Any) -> list[_Node]:
        """The mappings that a merge key brings, the most important first."""
        if isinstance(node.value, dict):
            return [node]
        spots = node.spot.items
        if isinstance(node.value, list) and spots is not None and all(isinstance(item, dict) for item in node.value):
            return [_Node(value, spot) for value, spot in zip(node.value, spots, strict=True)]
        self._fail("yaml-merge", "Only mappings can be merged with <<", key)
        return []

    def _duplicate(self, key: str, first: Entry, event: Any) -> None:
        self._fail(
            "duplicate-key",
            f"The key {key} is here twice",
            event,
            detail=f"It is first at {first.range}.",
            hint="keep one of them, or rename one",
        )

    def _close(self, spot: Spot, start: Any, end: Any, last: Spot | None) -> None:
        """A block collection ends with its last part; the parser only sees its end at the next thing after it."""
        if start.flow_style:
            spot.end = end.end_mark
        elif last is not None:
            spot.end = max(last.end, start.end_mark, key=_order)

    def _fail(self, code: str, summary: str, event: Any, *, detail: str = "", hint: str = "") -> None:
        place = stretch(self._file, event.start_mark, event.end_mark)
        self._diagnostics.add(error(code, summary, detail=detail, hint=hint, range=place))


def _is_plain(event: Any) -> bool:
    return type(event) is yaml.ScalarEvent and event.implicit[0] is True


def _merge(node: _Node, other: _Node) -> None:
    values, entries, theirs = node.value, node.spot.entries, other.spot.entries
    if isinstance(values, dict) and entries is not None and isinstance(other.value, dict) and theirs is not None:
        for key, value in other.value.items():
            if key not in values:
                values[key] = value
                entries[key] = theirs[key]


def _order(mark: Mark) -> tuple[int, int]:
    return mark.line, mark.column


def _syntax_error(problem: yaml.YAMLError, text: str, file: str) -> Diagnostic:
    place = _place(file, 1, 1)
    message = str(problem).partition("\n")[0]
    if isinstance(problem, yaml.MarkedYAMLError):
        mark = problem.problem_mark or problem.context_mark
        message = problem.problem or message
        if mark is not None:
            place = _place(file, mark.line + 1, mark.column + 1)
    elif isinstance(problem, yaml.reader.ReaderError):
        before = text[: problem.position] if isinstance(problem.position, int) else ""
        message = "it holds a control character"
        place = _place(file, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1)
    hint = syntax_hint(message, text.splitlines(), place.start.line)
    return error("yaml-syntax", f"The file is not valid YAML: {message}", hint=hint, range=place)


def _place(file: str, line: int, column: int) -> SourceRange:
    return SourceRange(file, SourcePos(line, column), SourcePos(line, column + 1))
