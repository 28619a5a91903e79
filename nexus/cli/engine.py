"""What the commands of ``nexus local`` share: which engine they mean, and its failures as diagnostics."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

P = ParamSpec("P")
Result = TypeVar("Result")


def engine_home(settings: Settings) -> Path:
    from nexus.api.machine import home

    return home(settings.environment)


def explained(function: Callable[P, Result]) -> Callable[P, Result]:
    """Failures of the engine as diagnostics."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> Result:
        from nexus.local.daemon import DaemonError
        from nexus.local.settings import SettingsError

        try:
            return function(*args, **kwargs)
        except (DaemonError, SettingsError, OSError) as problem:
            raise DiagnosticsError(
                error(
                    "engine-unavailable",
                    "The local engine can't do this",
                    detail=str(problem),
                    hint="«nexus local doctor» says what is missing; «nexus local logs» what the engine said",
                )
            ) from problem

    return wrapper
