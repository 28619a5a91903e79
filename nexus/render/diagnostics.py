"""Errors and warnings as a person wants them: what is wrong, where, the line itself, and what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator, Sequence

from rich.console import Console
from rich.text import Text

from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.render.console import wrapping_width
from nexus.render.explanations import explanations
from nexus.render.values import plural

_CODES_NAMED = 3

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
        console.print(Text(f"More about {'this' if len(explained) == 1 else 'these'}: ", style="faint"), end="")
        console.print(Text("; ".join(f"nexus explain {code}" for code in explained), style="hint"))


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
        _append_source(text, diagnostic.range, read_source)
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


def _append_source(text: Text, place: SourceRange, read_source: ReadSource) -> None:
    text.append("  --> ", style="place").append(f"{place}\n")
    lines = read_source(place.file)
    if lines is None or not 0 < place.start.line <= len(lines):
        return
    line = lines[place.start.line - 1].rstrip().replace("\t", " ")
    margin = len(str(place.start.line))
    end = place.end.column if place.end.line == place.start.line else len(line) + 1
    carets = "^" * max(min(end, len(line) + 1) - place.start.column, 1)
    text.append(f" {' ' * margin} |\n", style="place")
    text.append(f" {place.start.line} | ", style="place").append(f"{line}\n")
    text.append(f" {' ' * margin} | ", style="place")
    text.append(" " * (place.start.column - 1) + carets + "\n", style="error")
