"""Runs CEL programs: plain values in, a plain value out, and every failure as one exception with one sentence."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final

from nexus.expressions.functions import FUNCTIONS, FunctionError, Plain, kind_of
from nexus.expressions.library import cel
from nexus.kinds.base import SourceFiles
from nexus.model.diagnostics import DiagnosticsError

# The library logs each failing function with its message, which may quote a secret.
logging.getLogger("cel").setLevel(logging.CRITICAL + 1)

INT_LIMIT: Final = 2**63


class EvaluationError(Exception):
    """Why a program failed, as a sentence without a full stop. ``missing`` is the key that was not there, if any."""

    def __init__(self, message: str, *, missing: str | None = None) -> None:
        super().__init__(message)
        self.missing = missing


@lru_cache(maxsize=8192)
def _compiled(program: str) -> cel.Program:
    return cel.compile(program)


def run(program: str, functions: tuple[str, ...], variables: Mapping[str, Plain], files: SourceFiles | None) -> Plain:
    """Raises EvaluationError; lets through the DiagnosticsError of a file that can't be read."""
    failures: list[Exception] = []
    context: dict[str, Any] = dict(variables)
    for name in functions:
        if name in FUNCTIONS:
            context[name] = _guarded(_bound(name, files), failures)
    try:
        result = _compiled(program).execute(context)
    except Exception as problem:
        raise _explained(problem, failures) from None
    return _checked(result)


def _bound(name: str, files: SourceFiles | None) -> Callable[..., Plain]:
    call = FUNCTIONS[name].call
    if call is not None:
        return call

    def read(path: str) -> Plain:
        if not isinstance(path, str):
            raise FunctionError(f"file() takes a path where it was given {kind_of(path)}")
        if files is None:
            raise FunctionError("file() can't be used here")
        return files.text(path)

    return read


def _guarded(call: Callable[..., Plain], failures: list[Exception]) -> Callable[..., Plain]:
    def guarded(*arguments: Any) -> Plain:
        try:
            return call(*arguments)
        except Exception as problem:
            failures.append(problem)
            raise RuntimeError("failed") from None

    return guarded


def _explained(problem: Exception, failures: list[Exception]) -> Exception:
    if failures:
        first = failures[0]
        if isinstance(first, DiagnosticsError):
            return first
        if isinstance(first, FunctionError):
            return EvaluationError(str(first))
        if isinstance(first, TypeError) and "argument" in str(first):
            return EvaluationError("a function was called with the wrong number of arguments")
        return EvaluationError("a function failed")
    match problem:
        case KeyError(args=(str(key), *_)):
            return EvaluationError(f"there is no «{key}»", missing=key)
        case IndexError():
            return EvaluationError("the list has no such item")
        case ZeroDivisionError():
            return EvaluationError("a number is divided by zero")
        case OverflowError():
            return EvaluationError("a whole number does not fit 64 bits")
        case _:
            return EvaluationError(_first_sentence(str(problem)))


def _first_sentence(message: str) -> str:
    sentence = re.split(r"\.\s|\n", message, maxsplit=1)[0].rstrip(".")
    if sentence.startswith("No such overload"):
        return "an operator or a function does not fit the types of its values"
    return sentence[:1].lower() + sentence[1:] if sentence else "it failed"


def _checked(value: Any) -> Plain:
    match value:
        case None | bool() | str():
            return value
        case int():
            if not -INT_LIMIT <= value < INT_LIMIT:
                raise EvaluationError("a whole number does not fit 64 bits")
            return value
        case float():
            if value != value or value in (float("inf"), float("-inf")):
                raise EvaluationError("the result is a number that JSON does not have")
            return value
        case list():
            return [_checked(item) for item in value]
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise EvaluationError("the keys of a map must be strings")
            # the library's maps have no order; ours must be the same in every run
            return {key: _checked(value[key]) for key in sorted(value)}
        case _:
            raise EvaluationError(f"the result is {kind_of(value)}; string(…) makes it a text")
