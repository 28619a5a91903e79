"""What a terminal shows in the end of all that was written to it, with what moves up, clears and colours."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_PARTS = re.compile(
    r"\x1b\[(?P<parameters>[0-9;?]*)(?P<final>[A-Za-z])|\x1b\][^\x07]*\x07|(?P<control>[\r\n\b\t])|(?P<text>[^\x1b\r\n\b\t]+)|."
)
_SGR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(slots=True)
class Screen:
    """As wide and as high as need be: nothing wraps and nothing scrolls away."""

    lines: list[list[tuple[str, str]]] = field(default_factory=lambda: [[]])
    row: int = 0
    column: int = 0
    style: str = ""

    def write(self, raw: str) -> Screen:
        for part in _PARTS.finditer(raw):
            if part["text"]:
                self._put(part["text"])
            elif part["control"]:
                self._control(part["control"])
            elif part["final"]:
                self._sequence(part["parameters"], part["final"])
        return self

    def ansi(self) -> str:
        """The lines with their colours."""
        return "\n".join(_coloured(line) for line in self.lines).rstrip("\n")

    def _put(self, text: str) -> None:
        line = self.lines[self.row]
        line.extend([(" ", "")] * (self.column - len(line)))
        line[self.column : self.column + len(text)] = [(char, self.style) for char in text]
        self.column += len(text)

    def _control(self, char: str) -> None:
        match char:
            case "\r":
                self.column = 0
            case "\n":
                self.row += 1
                if self.row == len(self.lines):
                    self.lines.append([])
            case "\b":
                self.column = max(self.column - 1, 0)
            case "\t":
                self._put(" " * (8 - self.column % 8))

    def _sequence(self, parameters: str, final: str) -> None:
        count = int(parameters) if parameters.isdigit() else 0
        match final:
            case "m":
                self.style = "" if parameters in ("", "0") else f"{self.style}\x1b[{parameters}m"
            case "A":
                self.row = max(self.row - max(count, 1), 0)
            case "K" if count == 2:
                self.lines[self.row] = []
            case "K" if count == 0:
                del self.lines[self.row][self.column :]
            case "J" if count == 0:
                del self.lines[self.row][self.column :]
                del self.lines[self.row + 1 :]


def without_colours(ansi: str) -> str:
    return "\n".join(line.rstrip() for line in _SGR.sub("", ansi).splitlines())


def _coloured(line: list[tuple[str, str]]) -> str:
    parts, before = [], ""
    for char, style in line:
        if style != before:
            parts.append(f"\x1b[0m{style}" if before else style)
            before = style
        parts.append(char)
    return "".join(parts).rstrip() + ("\x1b[0m" if before else "")
