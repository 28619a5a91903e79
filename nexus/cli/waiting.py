"""Saying at once what a command waits for: the local engine that starts, and the target that is looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import click

from nexus.cli.settings import Settings

STARTING_ENGINE = "Starting the local engine"

Stop = Callable[[], None]
"""Ends the line that moves; safe to call twice."""


@contextmanager
def waiting(settings: Settings, words: str, *, is_local: bool) -> Iterator[Stop]:
    """A line on stderr that moves until the block ends, or what it is handed is called.

    Where nothing may move, there is one plain line, and only when the local engine has to be started first.
    """
    is_starting = engine_starts(settings.environment) if is_local else _never
    if not settings.is_live():
        if is_starting():
            click.echo(f"{STARTING_ENGINE} …", err=True)
        yield _nothing
        return
    from nexus.render.waiting import Waiting

    line = Waiting(settings.console(stderr=True), lambda: STARTING_ENGINE if is_starting() else words)
    line.start()
    try:
        yield line.stop
    finally:
        line.stop()


def engine_starts(environment: Mapping[str, str]) -> Callable[[], bool]:
    """Tells whether the local engine is still to come. Once it has been seen, nobody asks for it again."""
    from nexus.api.machine import engine_runs

    was_seen = False

    def starts() -> bool:
        nonlocal was_seen
        was_seen = was_seen or engine_runs(environment)
        return not was_seen

    return starts


def _never() -> bool:
    return False


def _nothing() -> None:
    pass
