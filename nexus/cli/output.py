"""``nexus output``: what the project gives to the outside."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from nexus.cli.completing import completes, outputs
from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, OutputRecord


@click.command(
    "output",
    epilog=examples(
        "nexus output",
        'curl "$(nexus output --raw url)"  # one value, for a script',
        "nexus output -e prod --json",
    ),
)
@click.argument("name", required=False, shell_complete=completes(outputs))
@environment_option
@click.option("--raw", is_flag=True, help="Print the value alone, without quotes.")
@json_option("the outputs")
@click.pass_obj
@guarded
def command(settings: Settings, name: str | None, environment: str, raw: bool, as_json: bool) -> int:
    """Show the outputs as of the last apply, or the one called NAME."""
    outputs = asyncio.run(_read(folder_of(settings, environment), name))
    if raw and name is None:
        raise click.UsageError("--raw wants the NAME of one output.")
    if as_json:
        from nexus.render.documents import outputs_to_json

        click.echo(json.dumps(outputs_to_json(outputs), indent=2, ensure_ascii=False))
    elif raw and name is not None:
        from nexus.render import outputs as rendering

        click.echo(rendering.raw(outputs[name].value))
    elif not outputs:
        click.echo("There are no outputs: the manifest declares none, or nothing was applied yet.", err=True)
    else:
        from nexus.render.outputs import print_outputs

        print_outputs(settings.console(), outputs)
    return 0


async def _read(folder: AsyncFolder, name: str | None) -> Mapping[str, OutputRecord]:
    return (await folder.state()).outputs if name is None else {name: await folder.output_record(name)}
