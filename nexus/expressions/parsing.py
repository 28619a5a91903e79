"""From strings of the manifest to expressions: finds every ``${{ … }}``, checks it, and lists what it refers to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Final, TypeAlias

from nexus.expressions.lexer import LexError, TokenKind, tokenise
from nexus.expressions.library import cel
from nexus.expressions.places import place_in
from nexus.expressions.references import Problem, analyse
from nexus.model.diagnostics import Diagnostic, Diagnostics, SourceRange, error
from nexus.model.expressions import Expression, Interpolation, Raw

OPEN: Final = "${{"
ESCAPED: Final = "$${{"
MAX_LENGTH: Final = 20_000

# What comes before the first }} is the whole expression where nothing can hide these signs.
_SIMPLE: Final = re.compile(r"[^\"'{}]*}}")

_WORD: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

Path: TypeAlias = tuple[str | int, ...]
Places: TypeAlias = Callable[[Path], SourceRange | None]


def escaped(text: str) -> str:
    """A string of a manifest that means ``text`` itself, whatever is in it."""
    return text.replace(OPEN, ESCAPED)


def parse_tree(value: object, path: Path, places: Places, diagnostics: Diagnostics) -> Raw:
    """A plain value of the manifest with its strings parsed. Parts without expressions are shared, not copied."""
    match value:
        case str():
            if OPEN not in value:
                return value
            return parse(value, places(path), diagnostics)
        case dict():
            return {str(key): parse_tree(item, (*path, str(key)), places, diagnostics) for key, item in value.items()}
        case list():
            return [parse_tree(item, (*path, index), places, diagnostics) for index, item in enumerate(value)]
        case None | bool() | int() | float():
            return value
        case _:
            raise TypeError(f"not a value of a manifest: {type(value).__name__}")


def parse(text: str, scalar: SourceRange | None, diagnostics: Diagnostics) -> str | Expression:
    """``text`` itself when it holds no expression. What is wrong goes to ``diagnostics``, with its place."""
    parts, problems = _split(text)
    diagnostics.extend(_diagnostic(problem, text, scalar) for problem in problems)
    if len(parts) == 1 and isinstance(parts[0], str):
        return parts[0]
    return Expression(parts, scalar)


@lru_cache(maxsize=4096)
def _split(text: str) -> tuple[tuple[str | Interpolation, ...], tuple[Problem, ...]]:
    """A string's parts: literal texts, never two in a row, and interpolations. Many strings occur more than once."""
    parts: list[str | Interpolation] = []
    problems: list[Problem] = []
    pending = ""
    position = 0
    while (found := text.find(OPEN, position)) >= 0:
        if found > 0 and text[found - 1] == "$":
            pending += text[position : found - 1] + OPEN
            position = found + len(OPEN)
            continue
        pending += text[position:found]
        end = _end(text, found)
        if isinstance(end, Problem):
            return (text,), (*problems, end)
        if pending:
            parts.append(pending)
            pending = ""
        parts.append(_interpolation(text, found + len(OPEN), end - 2, problems))
        position = end
    pending += text[position:]
    if pending or not parts:
        parts.append(pending)
    return tuple(parts), tuple(problems)


def _end(text: str, opening: int) -> int | Problem:
    """Where the ``}}`` that belongs to the ``${{`` at ``opening`` ends; braces inside strings and maps don't count."""
    if simple := _SIMPLE.match(text, opening + len(OPEN)):
        return simple.end()
    depth = 0
    previous = -1
    try:
        for token in tokenise(text, opening + len(OPEN)):
            if token.kind is not TokenKind.SIGN:
                continue
            if token.text == "{":
                depth += 1
            elif token.text == "}" and depth > 0:
                depth -= 1
            elif token.text == "}" and previous == token.start:
                return token.end
            elif token.text == "}":
                previous = token.end
    except LexError as problem:
        return Problem(str(problem), problem.offset)
    return Problem(
        "the expression that begins here is not closed",
        opening,
        "end it with }}, or write $${{ for the characters themselves",
    )


def _interpolation(text: str, start: int, end: int, problems: list[Problem]) -> Interpolation:
    inner = text[start:end]
    offset = start + len(inner) - len(inner.lstrip())
    interpolation, found = interpret(inner.strip())
    problems.extend(replace(item, offset=item.offset + offset, source=inner.strip()) for item in found)
    return interpolation


@lru_cache(maxsize=4096)
def interpret(source: str) -> tuple[Interpolation, tuple[Problem, ...]]:
    """One expression without its brackets, and all that can be said against it before it runs."""
    nothing = Interpolation(source, "null", ())
    if not source:
        return nothing, (Problem("an expression can't be empty", 0),)
    if len(source) > MAX_LENGTH:
        return nothing, (Problem(f"an expression has at most {MAX_LENGTH} characters", 0),)
    try:
        analysis = analyse(source)
    except LexError as problem:
        return nothing, (Problem(str(problem), problem.offset),)
    if analysis.problems:
        return nothing, tuple(analysis.problems)
    try:
        cel.compile(analysis.program)
    except ValueError as problem:
        return nothing, (_syntax_problem(str(problem)),)
    references = tuple(dict.fromkeys(analysis.references))
    return (
        Interpolation(source, analysis.program, references, tuple(analysis.functions), analysis.bare),
        (),
    )


def _syntax_problem(message: str) -> Problem:
    """The library's first complaint, without its drawing and its list of everything that could have stood there."""
    core = message.partition("ERROR: <input>:")[2].partition("\n")[0]
    place, _, said = core.partition(": ")
    said = said.removeprefix("Syntax error: ").partition(" expecting ")[0]
    said = said.replace("mismatched input '<EOF>'", "it ends too early").replace("<EOF>", "the end")
    if "Recursion limit" in message:
        said = "it is nested too deeply"
    elif "ExprContext" in said:
        said = "a part of it is missing"
    column = place.partition(":")[2]
    offset = int(column) - 1 if place.startswith("1:") and column.isdigit() else 0
    return Problem(said or "it is not a CEL expression", max(offset, 0), "expressions are written in CEL")


def _diagnostic(problem: Problem, text: str, scalar: SourceRange | None) -> Diagnostic:
    word = _WORD.match(text, problem.offset)
    return error(
        "expression-invalid",
        f"Invalid expression: {problem.message}",
        detail=f"It is used in «{problem.source}»." if problem.source else "",
        hint=problem.hint,
        range=place_in(scalar, text, problem.offset, word.end() if word else problem.offset + 1),
    )
