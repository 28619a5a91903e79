"""``nexus history``: what made an environment what it is, whoever did it."""

from __future__ import annotations

import asyncio
import json

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option
from nexus.cli.settings import Settings


@click.command(
    "history",
    epilog=examples(
        "nexus history",
        "nexus history -e prod -n 5  # the newest of prod",
        "nexus rollback 12  # as it was after entry 12",
    ),
)
@click.option("-n", "limit", type=click.IntRange(1), metavar="N", help="At most so many, the newest.")
@environment_option
@json_option("the history")
@click.pass_obj
@guarded
def command(settings: Settings, limit: int | None, environment: str, as_json: bool) -> int:
    """List what was applied, destroyed and run, the newest first: when, by whom, and which commit.

    The history is a part of the state: everybody who shares that sees the same. The last 100 entries are kept.
    """
    from nexus.render.history import history_to_json, print_history

    entries = asyncio.run(folder_of(settings, environment).history(limit=limit))
    if as_json:
        click.echo(json.dumps(history_to_json(entries), indent=2, ensure_ascii=False))
    elif entries:
        print_history(settings.console(), entries)
    else:
        click.echo("Nothing was applied yet.", err=True)
    return 0
