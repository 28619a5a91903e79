"""Turns an offset inside a string of the manifest into a line and a column, as well as its YAML form allows."""

from __future__ import annotations

from nexus.model.diagnostics import SourcePos, SourceRange


def place_in(scalar: SourceRange | None, text: str, start: int, end: int) -> SourceRange | None:
    """Where ``text[start:end]`` stands, given where the whole scalar does.

    Exact for plain and quoted scalars without escapes; the right line for block scalars; else the whole scalar.
    """
    if scalar is None:
        return None
    if scalar.start.line == scalar.end.line:
        return _in_one_line(scalar, text, start, end)
    if "\n" in text:
        return _in_block(scalar, text, start)
    return scalar


def _in_one_line(scalar: SourceRange, text: str, start: int, end: int) -> SourceRange:
    width = scalar.end.column - scalar.start.column
    if width not in (len(text), len(text) + 2):
        return scalar
    quote = (width - len(text)) // 2
    line, column = scalar.start.line, scalar.start.column + quote
    return SourceRange(scalar.file, SourcePos(line, column + start), SourcePos(line, column + end))


def _in_block(scalar: SourceRange, text: str, start: int) -> SourceRange:
    line = scalar.start.line + 1 + text.count("\n", 0, start)
    if line > scalar.end.line:
        return scalar
    return SourceRange(scalar.file, SourcePos(line, 1), SourcePos(line + 1, 1))
