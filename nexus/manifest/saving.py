"""A file of the project, written anew: whole or not at all, and never over what somebody else has just written."""

from __future__ import annotations

import secrets
from contextlib import suppress
from pathlib import Path

from nexus.model.diagnostics import DiagnosticsError, error


def save(path: Path, name: str, before: bytes | None, after: bytes) -> None:
    """Put ``after`` in the place of ``before``, links followed, the mode kept. Messages call the file ``name``.

    ``before`` None is for a file that is nexus' own: whatever is there gives way, and there need not be any. Raises
    DiagnosticsError when it can't be written, or says something else than ``before`` by now.
    """
    target = path.resolve()
    draft = target.with_name(f".{target.name}.{secrets.token_hex(6)}.new")  # others may write it at the same moment
    try:
        if before is not None and target.read_bytes() != before:
            raise DiagnosticsError(
                error("file-changed", f"{name} changed while nexus was working", hint="run the command again")
            )
        draft.write_bytes(after)
        if before is not None:
            draft.chmod(target.stat().st_mode & 0o7777)
        draft.replace(target)
    except OSError as problem:
        with suppress(OSError):
            draft.unlink()
        raise DiagnosticsError(
            error("file-unwritable", f"{name} can't be written", detail=f"{problem.strerror}.")
        ) from problem
