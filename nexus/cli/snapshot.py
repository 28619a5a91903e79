"""``nexus snapshot``: keep what is in a sandbox, to make others from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, FoundSandbox, Snapshot


@click.command(
    "snapshot",
    epilog=examples(
        "nexus snapshot web",
        "nexus snapshot web --name warm  # then, in a block: template: warm",
    ),
)
@sandbox_argument
@click.option("--name", metavar="NAME", help="Name for it; one that is taken already gets this as its newest.")
@environment_option
@target_options
@json_option("the snapshot")
@click.pass_obj
@guarded
def command(settings: Settings, sandbox: str, name: str | None, environment: str, local: bool, as_json: bool) -> int:
    """Keep what is in SANDBOX, to make sandboxes from: a name, name[key], an address, or an id at E2B.

    SANDBOX stands still for a moment and goes on. The snapshot is a template, which «template:» of a sandbox takes; it
    belongs to no project, and stays until it is deleted at E2B.
    """

    async def work(folder: AsyncFolder) -> tuple[FoundSandbox, Snapshot]:
        handle = folder.sandbox(sandbox)
        return await handle.found(), await handle.snapshot(name)

    found, snapshot = on_live(folder_of(settings, environment, local=local), work)
    if not as_json:
        click.echo(snapshot.id)
        return 0
    document = {
        "format_version": 1,
        "success": True,
        "sandbox_id": found.id,
        "address": found.address or None,
        "snapshot_id": snapshot.id,
        "names": list(snapshot.names),
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    return 0
