"""Manifests as people write them: the same values in any style, with comments and blank lines in between."""

from __future__ import annotations

from random import Random

from nexus.manifest.syntax import Style
from nexus.manifest.writing import flow_text, scalar_text
from nexus.model.values import Value

STYLES = (Style.PLAIN, Style.PLAIN, Style.SINGLE, Style.DOUBLE)


class Writer:
    """Writes one document, the same one for the same seed."""

    def __init__(self, seed: int, *, newline: str = "\n") -> None:
        self._random = Random(seed)
        self._newline = newline
        self._step = self._random.choice((2, 2, 4))
        self._dash = self._random.choice((0, 2))
        self._comments = 0
        self._after_block = False  # a comment below a block of text may be a part of it

    def text(self, document: dict[str, Value]) -> str:
        lines = [*self._noise(0), *self._mapping(document, 0)]
        ending = self._random.choice(("", self._newline, self._newline * 3))
        ending = self._newline if any(": |" in line or "- |" in line for line in lines) else ending
        return self._newline.join(lines) + ending

    def _mapping(self, value: dict[str, Value], column: int) -> list[str]:
        lines: list[str] = []
        for key, item in value.items():
            lines += self._entry(f"{' ' * column}{scalar_text(key, style=self._random.choice(STYLES))}:", item, column)
            lines += self._noise(column)
        return lines

    def _entry(self, head: str, value: Value, column: int) -> list[str]:
        self._after_block = False
        match value:
            case dict() if value and self._random.random() < 0.7:
                return [head + self._comment(), *self._mapping(value, column + self._step)]
            case list() if value and self._random.random() < 0.6:
                return [head + self._comment(), *self._sequence(value, column + self._dash)]
            case dict() | list() if value and self._random.random() < 0.4:
                return self._flow_lines(head, value, column)
            case dict() | list():
                return [f"{head} {flow_text(value)}{self._comment()}"]
            case str() if "\n" in value.strip() and value == value.strip() + "\n" and self._random.random() < 0.7:
                self._after_block = True
                pad = " " * (column + self._random.choice((1, 2, 3)))
                return [f"{head} |{self._comment()}", *(pad + line if line else "" for line in value[:-1].split("\n"))]
            case None if self._random.random() < 0.5:
                return [head + self._comment()]
            case _:
                gap = " " * self._random.choice((1, 1, 3))
                return [f"{head}{gap}{scalar_text(value, style=self._random.choice(STYLES))}{self._comment()}"]

    def _sequence(self, value: list[Value], column: int) -> list[str]:
        lines: list[str] = []
        for item in value:
            lines += self._entry(f"{' ' * column}-", item, column) if not isinstance(item, dict | list) else []
            if isinstance(item, dict | list):
                lines.append(f"{' ' * column}- {flow_text(item)}{self._comment()}")
            lines += self._noise(column)
        return lines

    def _flow_lines(self, head: str, value: dict[str, Value] | list[Value], column: int) -> list[str]:
        """A collection in brackets, an item a line."""
        pad = " " * (column + 2)
        if isinstance(value, dict):
            items = [f"{scalar_text(key, flow=True)}: {flow_text(item)}" for key, item in value.items()]
            opening, closing = "{", "}"
        else:
            items, opening, closing = [flow_text(item) for item in value], "[", "]"
        trailing = "," if self._random.random() < 0.5 else ""
        ends = [","] * (len(items) - 1) + [trailing]
        return [
            f"{head} {opening}{self._comment()}",
            *(f"{pad}{item}{end}{self._comment()}" for item, end in zip(items, ends, strict=True)),
            f"{' ' * (column + 1)}{closing}{self._comment()}",
        ]

    def _comment(self) -> str:
        if self._random.random() < 0.7:
            return ""
        self._comments += 1
        return f"{' ' * self._random.choice((1, 2, 5))}# note {self._comments}: it's {{[ \"so"

    def _noise(self, column: int) -> list[str]:
        if self._after_block:
            return []
        match self._random.randrange(8):
            case 0:
                return [""]
            case 1:
                self._comments += 1
                return [f"{' ' * column}# note {self._comments}"]
            case 2:
                return ["", f"{' ' * self._random.choice((0, column, column + 1))}# - off: [1"]
            case _:
                return []
