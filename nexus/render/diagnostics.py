"""Errors and warnings as a person wants them: what is wrong, where, the line itself, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

from nexus.model.diagnostics import Diagnostic, Severity, SourceRange
from nexus.render.values import plural

ReadSource = Callable[[str], Sequence[str] | None]
"""Lines of a file of the project, or None when it can't be read."""


def print_diagnostics(console: Console, diagnostics: Sequence[Diagnostic], read_source: ReadSource) -> None:
    """All of them, in their order, and a count when there are several errors."""
    for diagnostic in diagnostics:
        console.print(diagnostic_text(diagnostic, read_source))
    errors = sum(1 for item in diagnostics if item.severity is Severity.ERROR)
    if errors > 1:
        console.print(Text(f"{plural(errors, 'error')} in all", style="error"))


def diagnostic_text(diagnostic: Diagnostic, read_source: ReadSource) -> Text:
    text = Text()
    style = "error" if diagnostic.severity is Severity.ERROR else "warning"
    text.append(f"{diagnostic.severity}[{diagnostic.code}]", style=style)
    text.append(f": {diagnostic.summary}\n", style="bold")
    if diagnostic.range is not None:
        _append_source(text, diagnostic.range, read_source)
    if diagnostic.address:
        text.append("  in ", style="faint").append(diagnostic.address, style="address").append("\n")
    for line in diagnostic.detail.splitlines():
        text.append(f"  {line}\n")
    if diagnostic.hint:
        first, *rest = diagnostic.hint.splitlines()
        text.append("  hint: ", style="hint").append(f"{first}\n")
        for line in rest:
            text.append(f"        {line}\n")
    return text


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
