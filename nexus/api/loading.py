"""From a program's words to a project: what to load, and what there is to say of it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from nexus.api.given import process_or_own
from nexus.model.changes import Plan
from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.model.environments import Environment
from nexus.model.state import Commit
from nexus.workflows import loading


def load_request(
    path: str | os.PathLike[str],
    *,
    environment: str = "default",
    variables: Mapping[str, object] | None = None,
    variable_files: Iterable[str | os.PathLike[str]] = (),
    instance: str = "",
    plan: Plan | None = None,
    commit: Commit | None = None,
    process: Mapping[str, str] | None = None,
) -> loading.LoadRequest:
    """What a program wants to be loaded. Raises ValueError for too much."""
    own = process_or_own(process)
    if plan is not None:
        if variables or variable_files or instance or environment != "default":
            raise ValueError("a plan brings its environment and its variables: no others beside it")
        return loading.LoadRequest(
            path=Path(path).absolute(), environment=plan.environment, process=own, settled=plan.variables, commit=commit
        )
    named = Environment.parse(environment)
    if named.branch and instance:
        raise ValueError(f"{environment} is a branch already: no instance beside it")
    return loading.LoadRequest(
        path=Path(path).absolute(),
        environment=named.base,
        instance=named.branch or instance,
        process=own,
        commit=commit,
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
