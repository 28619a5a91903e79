"""What the commands on live sandboxes share: where they stand, which target they ask, and how they fail."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

import click

from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.providers.operating import Operator
    from nexus.workflows.operating import Place

T = TypeVar("T")


def on_live(
    settings: Settings,
    environment: str,
    *,
    local: bool,
    work: Callable[[Place, Operator], Awaitable[T]],
    say_target: bool = False,
    hide_secrets: bool = False,
) -> T:
    """Run ``work`` where the command line stands, inside of a project or not. Ctrl-C cancels it.

    ``hide_secrets`` takes the project's secrets, as far as they can be had, out of logs.
    """
    from nexus.wiring import choose_target, open_operator
    from nexus.workflows.operating import available_secrets, check_target, find_place

    async def run() -> T:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        place = await find_place(settings.folder, environment)
        choice = choose_target(settings.environment, place.provider_settings, local=local)
        check_target(place, choice.kind)
        place = replace(place, target=choice.kind)
        if say_target:
            where = f"project {place.project}, environment {place.environment}" if place.project else "no project"
            click.echo(f"Target: {choice.kind} ({choice.because}), {where}", err=True)
        secrets = available_secrets(place, settings.environment) if hide_secrets else ()
        async with open_operator(choice, settings.environment, secrets) as operator:
            return await work(place, operator)

    try:
        return asyncio.run(run())
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
