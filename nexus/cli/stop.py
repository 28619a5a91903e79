"""``nexus stop``: pause a sandbox, with all that is in it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, Stopped, Whereabouts


@click.command(
    "stop",
    epilog=examples(
        "nexus stop web",
        "nexus stop 'worker[0]' -e prod",
    ),
)
@sandbox_argument
@environment_option
@target_options
@json_option("what it used")
@click.pass_obj
@guarded
def command(settings: Settings, sandbox: str, environment: str, local: bool, as_json: bool) -> int:
    """Pause SANDBOX: its memory and its files are kept, and it costs nothing until it starts again.

    SANDBOX is a name, name[key], an address, or an id at E2B. The state is not changed: «nexus drift» tells that it is
    paused, and «nexus apply» leaves it so unless something needs it running.
    """

    async def work(folder: AsyncFolder) -> tuple[Stopped, Whereabouts]:
        return await folder.sandbox(sandbox).stop(), await folder.where()

    stopped, where = on_live(folder_of(settings, environment, local=local), work)
    from nexus.render.lifetimes import stop_text, stop_to_json

    now, billed = datetime.now(UTC), where.is_billed
    if as_json:
        document = stop_to_json(stopped.before, stopped.executions, now, billed=billed)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(stop_text(stopped.before, stopped.executions, now, billed=billed))
    return 0
