"""From strings of the manifest to expressions: finds every ``${{ … }}``, checks it, and lists what it refers to."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Final, TypeAlias

from nexus.expressions.lexer import LexError, TokenKind, tokenise
from nexus.expressions.library import cel
from nexus.expressions.places import place_in
from nexus.expressions.references import Problem, analyse
from nexus.model.diagnostics import Diagnostics, SourceRange, error
from nexus.model.expressions import Expression, Interpolation, Raw

OPEN: Final = "${{"
ESCAPED: Final = "$${{"
MAX_LENGTH: Final = 20_000

Path: TypeAlias = tuple[str | int, ...]
Places: TypeAlias = Callable[[Path], SourceRange | None]


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
    parts: list[str | Interpolation] = []
    places: list[SourceRange | None] = []
    pending = ""
    position = 0
    while (found := text.find(OPEN, position)) >= 0:
        if found > 0 and text[found - 1] == "$":
            pending += text[position : found - 1] + OPEN
            position = found + len(OPEN)
            continue
        pending += text[position:found]
        end = _end(text, found, scalar, diagnostics)
        if end is None:
            return text
        inner = text[found + len(OPEN) : end - 2]
        interpolation = _interpolation(inner, text, found + len(OPEN), scalar, diagnostics)
        if pending:
            parts.append(pending)
            places.append(None)
            pending = ""
        parts.append(interpolation)
        places.append(place_in(scalar, text, found, end))
        position = end
    pending += text[position:]
    if pending:
        parts.append(pending)
        places.append(None)
    if not any(isinstance(part, Interpolation) for part in parts):
        return pending
    return Expression(tuple(parts), scalar, tuple(places))


def _end(text: str, opening: int, scalar: SourceRange | None, diagnostics: Diagnostics) -> int | None:
    """Where the ``}}`` that belongs to the ``${{`` at ``opening`` ends; braces inside strings and maps don't count."""
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
        _report(diagnostics, str(problem), text, problem.offset, scalar)
        return None
    _report(
        diagnostics,
        "the expression that begins here is not closed",
        text,
        opening,
        scalar,
        "end it with }}, or write $${{ for the characters themselves",
    )
    return None


def _interpolation(
    inner: str, text: str, offset: int, scalar: SourceRange | None, diagnostics: Diagnostics
) -> Interpolation:
    source = inner.strip()
    offset += len(inner) - len(inner.lstrip())
    interpolation, problems = interpret(source)
    for problem in problems:
        _report(diagnostics, problem.message, text, offset + problem.offset, scalar, problem.hint, source)
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


def _report(
    diagnostics: Diagnostics,
    message: str,
    text: str,
    offset: int,
    scalar: SourceRange | None,
    hint: str = "",
    source: str = "",
) -> None:
    detail = f"{message[0].upper()}{message[1:]}{f', in «{source}»' if source else ''}."
    diagnostics.add(
        error(
            "expression-invalid",
            f"Invalid expression: {message}",
            detail=detail,
            hint=hint,
            range=place_in(scalar, text, offset, offset + 1),
        )
    )
