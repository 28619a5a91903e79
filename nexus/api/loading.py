"""From a program's words to a project: what to load, and what there is to say of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from nexus.api.account import Target, process_for
from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.workflows import loading


def load_request(
    path: str | os.PathLike[str],
    *,
    environment: str = "default",
    variables: Mapping[str, object] | None = None,
    variable_files: Iterable[str | os.PathLike[str]] = (),
    target: Target | None = None,
    instance: str = "",
) -> loading.LoadRequest:
    """What a program wants to be loaded. Raises NexusError when there is no such target."""
    return loading.LoadRequest(
        path=Path(path).absolute(),
        environment=environment,
        instance=instance,
        process=process_for(target),
        variable_files=tuple(Path(item).absolute() for item in variable_files),
        assignments=tuple(f"{name}={_text(value)}" for name, value in (variables or {}).items()),
    )


def findings(request: loading.LoadRequest) -> tuple[Diagnostic, ...]:
    """Everything that is to be said of a manifest."""
    try:
        return loading.load(request).diagnostics
    except DiagnosticsError as problem:
        return problem.diagnostics


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
