"""Reports for other programs, beside what a command says itself: JUnit of steps, SARIF of errors and warnings."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from nexus.cli.failures import project_root
from nexus.model.diagnostics import Diagnostic, DiagnosticsError, error

if TYPE_CHECKING:
    from nexus.cli.settings import Settings
    from nexus.model.runs import Run


def write_junit(run: Run, path: Path) -> None:
    """A test case for each step of a run. Raises DiagnosticsError."""
    from nexus.render.junit import junit

    _write(junit(run), path)


def write_sarif(settings: Settings, diagnostics: Sequence[Diagnostic], path: Path) -> None:
    """Findings, at places as somebody at the working folder knows them. Raises DiagnosticsError."""
    from nexus.render.sarif import sarif

    folder = PurePosixPath(os.path.relpath(project_root(settings.folder)))
    _write(json.dumps(sarif(diagnostics, folder), indent=2, ensure_ascii=False) + "\n", path)


@contextmanager
def failures_as_sarif(settings: Settings, path: Path | None) -> Iterator[None]:
    """Write what ends the block, too, if a report was asked for."""
    try:
        yield
    except DiagnosticsError as problem:
        if path is not None:
            write_sarif(settings, problem.diagnostics, path)
        raise


def _write(text: str, path: Path) -> None:
    """Whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as problem:
        draft.unlink(missing_ok=True)
        raise DiagnosticsError(
            error("report-unwritable", f"The report can't be written to {path}", detail=problem.strerror or "")
        ) from problem
