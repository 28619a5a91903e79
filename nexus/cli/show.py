"""``nexus show``: the state, or a saved plan, for people and machines."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option
from nexus.cli.settings import Settings


@click.command(
    "show",
    epilog=examples(
        "nexus show  # what there is",
        "nexus show friday.plan  # what a saved plan would do",
    ),
)
@click.argument("planfile", required=False, type=click.Path(path_type=Path))
@environment_option
@json_option("it")
@click.pass_obj
@guarded
def command(settings: Settings, planfile: Path | None, environment: str, as_json: bool) -> int:
    """Show what there is as of the last apply, or what PLANFILE would do."""
    if planfile is not None:
        return _show_plan(settings, planfile, as_json=as_json)
    state = asyncio.run(folder_of(settings, environment).state())
    if as_json:
        from nexus.render.documents import state_to_json

        click.echo(json.dumps(state_to_json(state), indent=2, ensure_ascii=False))
    else:
        from nexus.render.outputs import print_state

        print_state(settings.console(), state)
    return 0


def _show_plan(settings: Settings, planfile: Path, *, as_json: bool) -> int:
    from nexus.api.plans import read_plan
    from nexus.cli.plan import show_plan

    show_plan(settings, read_plan(planfile), as_json=as_json)
    return 0
