"""What can go wrong with files, said for people."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def explained(doing: str, path: Path) -> Iterator[None]:
    """Turns an OSError within into a DiagnosticsError. ``doing`` completes «could not …»."""
    try:
        yield
    except OSError as problem:
        raise DiagnosticsError(explain(problem, doing, path)) from problem


def explain(problem: OSError, doing: str, path: Path) -> Diagnostic:
    detail = f"Could not {doing} at {path}: {problem.strerror or problem}."
    if problem.errno in _FULL:
        return error("disk-full", "The disk is full", detail=detail, hint="free some space, then run the command again")
    if problem.errno in _FORBIDDEN:
        return error(
            "state-no-permission",
            "The state's files may not be used",
            detail=detail,
            hint="run nexus as the user that owns the project's .nexus/ folder, or correct its permissions",
        )
    return error(
        "state-io-failed", "The state's files can't be used", detail=detail, hint="see that the disk is in order"
    )


def damaged(path: str, what: str, hint: str) -> DiagnosticsError:
    return DiagnosticsError(
        error("state-damaged", "A file of the state is damaged", detail=f"{path}: {what}.", hint=hint)
    )


_UNREADABLE = ("state-damaged", "state-encrypted", "state-not-encrypted", "state-key-wrong")


def is_unreadable(problem: DiagnosticsError) -> bool:
    """Whether something is there, and can't be made sense of. Else the place itself can't be used."""
    return is_about(problem, *_UNREADABLE)


def is_about(problem: DiagnosticsError, *codes: str) -> bool:
    """Whether one of these is what went wrong."""
    return any(item.code in codes for item in problem.diagnostics)


def too_new(path: str, what: str, found: int, known: int, written_by: str) -> DiagnosticsError:
    by = f" by {written_by}" if written_by else ""
    return DiagnosticsError(
        error(
            "state-too-new",
            "The state was written by a newer nexus",
            detail=f"{path}: this {what} has version {found}, written{by}; this nexus reads up to version {known}.",
            hint="use that version of nexus, or a later one",
        )
    )


# ---- servers


def unreachable(place: str, why: str) -> Diagnostic:
    return error(
        "state-unreachable",
        "The server of the state does not answer",
        detail=f"{place}: {why}.",
        hint="see that it runs and can be reached from here, then run the command again; what was done is not lost",
    )


def denied(place: str, why: str) -> Diagnostic:
    return error(
        "state-access-denied",
        "The server of the state does not let us in",
        detail=f"{place}: {why}.",
        hint="credentials come from the environment, or from where the tools of the server take them",
    )


def no_such_place(place: str) -> Diagnostic:
    return error(
        "state-place-missing",
        "What the state is to be kept in does not exist",
        detail=f"{place} can't be used: its bucket or container does not exist.",
        hint="make it with the tools of its cloud, or correct «state» in the manifest",
    )


def refused(place: str, why: str) -> Diagnostic:
    return error(
        "state-refused",
        "The server of the state refuses what nexus asks",
        detail=f"{place}: {why}.",
        hint="see that «state» in the manifest says the right server, and that it keeps state in the way said there",
    )
