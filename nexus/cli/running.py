"""What the commands that plan and apply share: loading a project, opening a session, saying where it will work."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.planning import SavedPlan
    from nexus.workflows.loading import LoadRequest, Project
    from nexus.workflows.session import Session

T = TypeVar("T")


def load_project(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    *,
    saved: SavedPlan | None = None,
) -> Project:
    """The project in the command line's folder, for a saved plan with the values that it was made with.

    Raises DiagnosticsError with all that is wrong.
    """
    from nexus.workflows.loading import load

    return load(load_request(settings, environment, var_texts, var_files, saved=saved))


def load_request(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    *,
    saved: SavedPlan | None = None,
) -> LoadRequest:
    """What to load, as the command line says it."""
    from nexus.workflows.loading import LoadRequest

    return LoadRequest(
        path=settings.folder,
        environment=environment,
        process=settings.environment,
        variable_files=tuple(path if path.is_absolute() else Path.cwd() / path for path in var_files),
        assignments=var_texts,
        settled=None if saved is None else saved.plan.variables,
    )


def in_session(
    settings: Settings, project: Project, *, local: bool, quiet: bool, work: Callable[[Session], Awaitable[T]]
) -> T:
    """Run ``work`` with a session. The first line on stderr says which target it is, unless ``quiet``."""
    from nexus.wiring import choose_target, open_session

    choice = choose_target(settings.environment, project.provider_settings, local=local)
    if not quiet:
        where = f"project {project.name}, environment {project.environment}"
        click.echo(f"Target: {choice.kind} ({choice.because}), {where}", err=True)

    async def run() -> T:
        async with open_session(project, settings.environment, local=local) as session:
            return await work(session)

    return asyncio.run(run())


def on_interrupt(interrupt: Callable[[], None]) -> None:
    """Hand Ctrl-C (and a polite request to end) to ``interrupt`` from now on."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupt)


def off_interrupt() -> None:
    """Let Ctrl-C, and a request to end, be again what they are without :func:`on_interrupt`."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.remove_signal_handler(number)


def seconds(text: str) -> float:
    """How long to wait for a lock: a duration such as ``5m``, or none at all. Raises click.BadParameter."""
    return 0.0 if text in ("0", "0s") else duration_of(text, "--lock-timeout")


def duration_of(text: str, option: str) -> float:
    """Seconds of a duration such as ``5m``. Raises click.BadParameter."""
    from nexus.kinds.durations import parse_duration

    try:
        return float(parse_duration(text))
    except ValueError as problem:
        raise click.BadParameter(str(problem), param_hint=option) from problem
