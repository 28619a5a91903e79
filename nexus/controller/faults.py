"""Our own faults: a controller tells of them, and goes on."""

from __future__ import annotations

from collections.abc import Callable

from nexus.model.diagnostics import Diagnostic, error

OnBug = Callable[[Exception], object]
"""Told of exceptions that nobody expected."""


def bug(problem: Exception) -> Diagnostic:
    """What is told of one; its text may hold anything, so it is not in there."""
    return error(
        "bug",
        f"This is a bug in nexus ({type(problem).__name__})",
        hint="what is needed to mend it was written to a log; nothing that was done is lost, and it is tried again",
    )
