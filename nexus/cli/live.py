"""What the commands on live sandboxes share: where they stand, which target they ask, and how they fail."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from nexus.cli.settings import Settings
from nexus.cli.waiting import STARTING_ENGINE, engine_starts, waiting

if TYPE_CHECKING:
    from nexus import AsyncFolder, AsyncProject, Whereabouts

T = TypeVar("T")
LiveT = TypeVar("LiveT", "AsyncFolder", "AsyncProject")


def folder_of(settings: Settings, environment: str, *, local: bool = False) -> AsyncFolder:
    """Where the command line stands, inside of a project or not."""
    from nexus.api.folder import AsyncFolder

    return AsyncFolder(
        settings.folder,
        environment=environment,
        target="local" if local else None,
        process=settings.environment,
    )


def on_live(live: LiveT, work: Callable[[LiveT], Awaitable[T]]) -> T:
    """Run ``work``, all of it over one connection. Ctrl-C cancels it, and so does a polite request to end."""

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        async with live:
            await _started(live)
            return await work(live)

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None


async def _started(live: LiveT) -> None:
    """Have the local engine started now when that can be watched; else it starts with the first request."""
    settings = Settings.of_this_command()
    if settings.is_live() and not (await live.where()).is_billed and engine_starts(settings.environment)():
        with waiting(settings, STARTING_ENGINE, is_local=True):
            await live.identity()


async def say_target(live: AsyncFolder | AsyncProject, *, local: bool) -> Whereabouts:
    """The line on stderr that says where the work is done. ``local`` says that the command line asked for it."""
    where = await live.where()
    click.echo(f"Target: {replace(where, because='--local') if local else where}", err=True)
    return where
