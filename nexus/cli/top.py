"""``nexus top``: what all sandboxes use, as it goes."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from rich.console import Console

    from nexus import AsyncFolder, Load


@click.command(
    "top",
    epilog=examples(
        "nexus top",
        "nexus top --once --json  # one look, for a program",
    ),
)
@click.option("--all", "everything", is_flag=True, help="All of the account, not only this project's.")
@click.option(
    "--interval", type=click.FloatRange(0.5), default=2.0, show_default=True, help="Seconds between two looks."
)
@click.option("--once", is_flag=True, help="Look once only; also where the output is no terminal.")
@environment_option
@target_options
@json_option("one look")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    everything: bool,
    interval: float,
    once: bool,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Show what the live sandboxes of this project's environment use, the busiest first, until Ctrl-C.

    Outside of a project, those of the account. E2B measures every few seconds.
    """
    console = settings.console()

    async def work(folder: AsyncFolder) -> Load | None:
        if console.is_terminal and not once and not as_json:
            await _watch(console, folder, interval, everything=everything)
            return None
        return await folder.usage(everything=everything)

    try:
        load = on_live(folder_of(settings, environment, local=local), work)
    except KeyboardInterrupt:
        return 0  # the way to end it
    if load is None:
        return 0
    from nexus.render.status import load_table, load_to_json

    now = datetime.now(UTC)
    if as_json:
        click.echo(json.dumps(load_to_json(load.sandboxes, load.usage, now), indent=2, ensure_ascii=False))
    else:
        console.print(load_table(load.sandboxes, load.usage, now))
    return 0


async def _watch(console: Console, folder: AsyncFolder, interval: float, *, everything: bool) -> None:
    from rich.live import Live

    from nexus.render.status import load_table

    with Live(console=console, auto_refresh=False, screen=True) as screen:
        while True:
            load = await folder.usage(everything=everything)
            table = load_table(load.sandboxes, load.usage, datetime.now(UTC))
            screen.update(table, refresh=True)
            await asyncio.sleep(interval)
