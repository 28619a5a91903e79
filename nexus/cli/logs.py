"""``nexus logs``: what a sandbox says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Literal

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, LogEntry
    from nexus.api.sandboxes import Level

LEVELS = ("all", "debug", "info", "warn", "error")


@click.command(
    "logs",
    epilog=examples(
        "nexus logs web  # the last hundred lines",
        "nexus logs -f web --level warn  # go on as they come",
        "nexus logs 'worker[0]' -n 20 --timestamps",
    ),
)
@sandbox_argument
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True, help="How many lines, the last.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written, until the sandbox is gone or Ctrl-C.")
@click.option("--level", type=click.Choice(LEVELS), default="all", show_default=True, help="This level and above.")
@click.option("--all", "everything", is_flag=True, help="Also what nexus itself does in it: its set-up and its looks.")
@click.option("--timestamps", is_flag=True, help="Begin each line with its time, in UTC.")
@environment_option
@target_options
@json_option("the lines (with --follow, one document a line)")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    lines: int,
    follow: bool,
    level: Level | Literal["all"],
    everything: bool,
    timestamps: bool,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Show what SANDBOX said: a name, name[key], an address, or an id at E2B.

    That is what its start_command prints, and what E2B keeps of what was run in it, by steps, by nexus exec or over
    E2B's SDK. The lines of a start_command bear the time at which it printed last.
    """
    from nexus.render.operating import log_entry_to_json, log_text, logs_to_json

    console = settings.console()

    def show(entry: LogEntry) -> None:
        if as_json:
            click.echo(json.dumps(log_entry_to_json(entry), ensure_ascii=False))
        else:
            console.print(log_text(entry, timestamps=timestamps))

    least = None if level == "all" else level

    async def work(folder: AsyncFolder) -> None:
        handle = folder.sandbox(sandbox)
        if follow:
            async for entry in handle.follow_logs(lines=lines, level=least, own=everything):
                show(entry)
            return
        found, logs = await handle.found(), await handle.logs(lines=lines, level=least, own=everything)
        if not as_json:
            for entry in logs.entries:
                show(entry)
            return
        document = logs_to_json(
            found.id,
            logs.entries,
            address=found.address,
            total=logs.total,
            byte_count=logs.size,
            oldest=logs.oldest,
        )
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))

    on_live(folder_of(settings, environment, local=local), work)
    return 0
