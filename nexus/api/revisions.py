"""What people call a revision of a project's files, and what Git calls it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.state import HistoryEntry

_LONGEST_SERIAL: Final = 6
"""Digits; a number with more of them is taken for the beginning of a commit."""


def name_of(history: Sequence[HistoryEntry], said: str) -> str:
    """A serial of the history as its commit; any other name as it is. Raises DiagnosticsError for one without."""
    number = said.removeprefix("#")
    if not (number.isdecimal() and len(number) <= _LONGEST_SERIAL):
        return said
    entry = next((item for item in history if item.serial == int(number)), None)
    if entry is None:
        known = ", ".join(str(item.serial) for item in history[:10]) or "none yet"
        raise DiagnosticsError(
            error(
                "unknown-revision",
                f"The history has no entry {number}",
                hint=f"«nexus history» lists them: {known}; or name a commit, branch or tag",
            )
        )
    commit = entry.commit
    if not commit.id:
        raise DiagnosticsError(
            error(
                "revision-not-kept",
                f"No commit holds the files of entry {number}",
                detail="They were in no Git repository, or in none that had a commit.",
                hint="put the files back by hand, and apply",
            )
        )
    if commit.modified:
        raise DiagnosticsError(
            error(
                "revision-not-kept",
                f"No commit holds the files of entry {number}",
                detail=f"They were those of commit {commit.id} with changes that nobody had committed.",
                hint=f"to have the commit without these: nexus rollback {commit.id[:9]}",
            )
        )
    return commit.id
