"""Errors and warnings as a person wants them: what is wrong, where, the line itself, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.render.console import wrapping_width
from nexus.render.explanations import explanations
from nexus.render.values import plural

_CODES_NAMED: Final = 3
_WIDEST: Final = 104
"""Columns of a message's source lines; what is longer is cut around the place."""

_FRAME: Final = 4
"""Columns around a line's number."""

_NARROWEST: Final = 20

ReadSource = Callable[[str], Sequence[str] | None]
"""Lines of a file of the project, or None when it can't be read."""


def print_diagnostics(console: Console, diagnostics: Sequence[Diagnostic], read_source: ReadSource) -> None:
    """All of them, in their order, and a count when there are several errors."""
    for diagnostic in diagnostics:
        console.print(diagnostic_text(diagnostic, read_source, wrapping_width(console)))
    errors = sum(1 for item in diagnostics if item.severity is Severity.ERROR)
    if errors > 1:
        console.print(Text(f"{plural(errors, 'error')} in all", style="error"))
    if explained := _explained(diagnostics):
        words = f"More about {'this' if len(explained) == 1 else 'these'}: "
        commands = [f"nexus explain {code}" for code in explained]
        together = "; ".join(commands)
        fits = (wrapping_width(console) or _WIDEST) >= len(words) + len(together)
        shown = together if fits else f"\n{' ' * len(words)}".join(commands)
        console.print(Text.assemble((words, "faint"), (shown, "hint")))


def _explained(diagnostics: Sequence[Diagnostic]) -> list[str]:
    """The first codes of these that have a page, errors before warnings."""
    ordered = sorted(diagnostics, key=lambda item: item.severity is not Severity.ERROR)
    known = {item.code for item in explanations()}
    return [code for code in dict.fromkeys(item.code for item in ordered) if code in known][:_CODES_NAMED]


def diagnostic_text(diagnostic: Diagnostic, read_source: ReadSource, width: int | None = None) -> Text:
    """``width`` breaks long sentences; source lines and what programs wrote stay as they are."""
    text = Text()
    style = "error" if diagnostic.severity is Severity.ERROR else "warning"
    text.append(f"{diagnostic.severity}[{diagnostic.code}]", style=style)
    text.append(f": {diagnostic.summary}", style="bold")
    if diagnostic.error_code is not None and not _says(diagnostic.code, diagnostic.error_code):
        text.append(f" ({diagnostic.error_code})", style="faint")
    text.append("\n")
    if diagnostic.range is not None:
        _append_source(text, diagnostic.range, read_source, min(width or _WIDEST, _WIDEST))
    if diagnostic.address:
        text.append("  in ", style="faint").append(diagnostic.address, style="address").append("\n")
    for line in _broken(diagnostic.detail, width, indent=2):
        text.append(f"  {line}\n")
    for number, line in enumerate(_broken(diagnostic.hint, width, indent=8)):
        text.append("        " if number else "  hint: ", style="hint").append(f"{line}\n")
    return text


def _says(code: str, published: str) -> bool:
    """Whether our own code is the published one, but for how it is written."""
    return code.upper().replace("-", "_") == published


def _broken(words: str, width: int | None, *, indent: int) -> Iterator[str]:
    for line in words.splitlines():
        fits = width is None or len(line) + indent <= width or width < 2 * indent + 20
        yield from [line] if fits or width is None else textwrap.wrap(line, width - indent)


def _append_source(text: Text, place: SourceRange, read_source: ReadSource, width: int) -> None:
    """The line that is wrong, under the line of the block that it stands in, with a mark below."""
    text.append("  --> ", style="place").append(f"{place}\n")
    lines = read_source(place.file)
    if lines is None or not 0 < place.start.line <= len(lines):
        return
    parent = _parent(lines, place.start.line)
    margin = len(str(place.start.line))
    room = max(width - margin - _FRAME, _NARROWEST)
    text.append(f" {' ' * margin} |\n", style="place")
    if parent is not None:
        text.append(f" {parent:>{margin}} | ", style="place").append(f"{_clean(lines[parent - 1])[:room]}\n", "faint")
        if place.start.line - parent > 1:
            text.append(f" {' ' * margin} | ", style="place").append("…\n", style="faint")
    shown, before, carets = _marked(_clean(lines[place.start.line - 1]), place, room)
    text.append(f" {place.start.line} | ", style="place").append(f"{shown}\n")
    text.append(f" {' ' * margin} | ", style="place").append(f"{' ' * before}{'^' * carets}\n", style="error")


def _clean(line: str) -> str:
    """The line without what moves a cursor; a tab is one column, as in the places of YAML."""
    return "".join(sign if sign.isprintable() else " " for sign in line.rstrip())


def _parent(lines: Sequence[str], number: int) -> int | None:
    """The number of the line that opens the block in which line ``number`` stands; None at the top of a file."""
    depth = _depth(lines[number - 1])
    for above in range(number - 1, 0, -1):
        line = lines[above - 1]
        if line.strip() and not line.lstrip().startswith("#") and _depth(line) < depth:
            return above
    return None


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _marked(line: str, place: SourceRange, room: int) -> tuple[str, int, int]:
    """The line, cut around the place where it is very long, and how many cells come before the mark and in it."""
    start = place.start.column - 1
    end = place.end.column - 1 if place.end.line == place.start.line else len(line)
    skipped = max(start - room // 2, 0) if len(line) > room else 0
    if skipped:
        line, start, end = f"…{line[skipped + 1 :]}", start - skipped, end - skipped
    if len(line) > room:
        line, end = f"{line[: room - 1]}…", min(end, room)
    return line, cell_len(line[:start]), max(cell_len(line[start:end]), 1)
