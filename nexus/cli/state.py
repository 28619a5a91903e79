"""``nexus state …``: a look into what is remembered; the commands that change it are in modules of their own."""

from __future__ import annotations

import asyncio
import json

import click

from nexus.cli import state_editing, state_places, state_rebuilding
from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import ADDRESS, environment_option, json_option
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.group("state", no_args_is_help=True)
def command() -> None:
    """What nexus remembers of what it made. A cache: the live objects carry the same, and no secret is in it."""


@command.command(
    "list",
    epilog=examples(
        "nexus state list",
        "nexus state list -e prod --json",
    ),
)
@environment_option
@json_option("the addresses")
@click.pass_obj
@guarded
def list_(settings: Settings, environment: str, as_json: bool) -> int:
    """List the addresses of all resources in the state."""
    state = asyncio.run(folder_of(settings, environment).state())
    addresses = sorted(state.resources)
    if as_json:
        rows = [{"address": str(address), "id": state.resources[address].id} for address in addresses]
        click.echo(json.dumps({"format_version": 1, "resources": rows}, indent=2, ensure_ascii=False))
    else:
        for address in addresses:
            click.echo(str(address))
    return 0


@command.command(
    "show",
    epilog=examples(
        "nexus state show sandbox.web",
        "nexus state show 'sandbox.worker[0]' --json",
    ),
)
@click.argument("address", type=ADDRESS)
@environment_option
@json_option("the record")
@click.pass_obj
@guarded
def show(settings: Settings, address: Address, environment: str, as_json: bool) -> int:
    """Show what is remembered of ADDRESS."""
    record = asyncio.run(folder_of(settings, environment).record(address))
    if as_json:
        from nexus.render.documents import record_to_json

        click.echo(json.dumps({"format_version": 1, **record_to_json(record)}, indent=2, ensure_ascii=False))
    else:
        from nexus.render.outputs import record_text

        settings.console().print(record_text(record))
    return 0


for _changing in (
    state_editing.move,
    state_editing.remove,
    state_editing.pull,
    state_editing.push,
    state_rebuilding.rebuild,
    state_editing.unlock,
    state_places.versions,
    state_places.migrate,
):
    command.add_command(_changing)
