"""What the commands that plan and apply share: loading a project, and saying where it will work."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from nexus.cli.live import say_target
from nexus.cli.settings import Settings
from nexus.cli.waiting import Stop, waiting
from nexus.model.diagnostics import DiagnosticsError, error

if TYPE_CHECKING:
    from nexus import AsyncProject, Plan
    from nexus.render.summary import Typed

T = TypeVar("T")

MAKING_THE_PLAN = "Making the plan"


def load_project(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    *,
    local: bool = False,
) -> AsyncProject:
    """The project in the command line's folder. Raises DiagnosticsError with all that is wrong."""
    from nexus.api.project import AsyncProject

    return AsyncProject.load(
        settings.folder,
        environment=environment,
        variables=dict(assignments(var_texts)),
        variable_files=var_files,
        target="local" if local else None,
        process=settings.environment,
    )


def load_planned(settings: Settings, plan: Plan, *, local: bool = False) -> AsyncProject:
    """The same with the values that a saved plan was made with."""
    from nexus.api.project import AsyncProject

    return AsyncProject.load(
        settings.folder, plan=plan, target="local" if local else None, process=settings.environment
    )


def at_target(
    project: AsyncProject,
    work: Callable[[AsyncProject], Awaitable[T]],
    *,
    local: bool,
    quiet: bool,
    doing: str = "Looking at what is out there",
) -> T:
    """Run ``work``. The first line on stderr says which target it is at, and one that moves what it is ``doing``.

    Neither is said when ``quiet``.
    """
    return watched_at_target(project, lambda project, _: work(project), local=local, quiet=quiet, doing=doing)


def watched_at_target(
    project: AsyncProject,
    work: Callable[[AsyncProject, Stop], Awaitable[T]],
    *,
    local: bool,
    quiet: bool,
    doing: str = MAKING_THE_PLAN,
) -> T:
    """The same for ``work`` that draws on the terminal itself: before it does, it ends the line that moves."""

    async def run() -> T:
        if quiet:
            return await work(project, lambda: None)
        where = await say_target(project, local=local)
        with waiting(Settings.of_this_command(), doing, is_local=not where.is_billed) as stop:
            return await work(project, stop)

    return asyncio.run(run())


def typed(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    *,
    local: bool,
) -> Typed:
    """What was typed around the command, for the one that is to be typed next."""
    from nexus.render.summary import Typed

    is_elsewhere = settings.folder != Path.cwd()
    files = tuple(word for path in var_files for word in ("--var-file", str(path)))
    return Typed(
        before=("-C", os.path.relpath(settings.folder)) if is_elsewhere else (),
        place=("--local",) if local else (),
        values=(*files, *(word for text in var_texts for word in ("--var", text))),
        environment=environment,
    )


def on_interrupt(interrupt: Callable[[], None] | None) -> None:
    """Hand Ctrl-C (and a polite request to end) to ``interrupt`` from now on; None lets them be what they were."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        if interrupt is None:
            loop.remove_signal_handler(number)
        else:
            loop.add_signal_handler(number, interrupt)


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


def assignments(texts: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Later ones win."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise DiagnosticsError(error("invalid-value", f"{text!r} is not an assignment such as name=value"))
        yield name.strip(), value
