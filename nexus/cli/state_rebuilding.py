"""``nexus state rebuild``: the state as what is out there tells it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import json_option, lock_timeout_option, project_options, target_options, yes_option
from nexus.cli.running import load_project, seconds, watched_at_target
from nexus.cli.settings import Settings
from nexus.cli.state_editing import asking, not_approved
from nexus.cli.waiting import Stop

if TYPE_CHECKING:
    from nexus import AsyncProject, Rebuilt


@click.command(
    "rebuild",
    short_help="Write the state anew from what is out there.",
    epilog=examples(
        "nexus state rebuild  # ask first",
        "nexus state rebuild -e prod --yes --json",
    ),
)
@project_options
@target_options
@lock_timeout_option
@yes_option
@json_option("what was found")
@click.pass_obj
@guarded
def rebuild(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    lock_timeout: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Write the state anew from what is out there: marks of sandboxes, receipts inside them, names, the manifest.

    For a state that was lost or damaged. Nothing out there changes. What nothing tells is said: a step's run, and what
    «state mv» renamed, is only known from the state that there was. Forks are told apart and left alone.
    """
    project = load_project(settings, environment, var_texts, var_files, local=local)
    confirm, patience = asking(yes=yes, as_json=as_json), seconds(lock_timeout)

    async def work(project: AsyncProject, begin: Stop) -> Rebuilt:
        def ask(question: str) -> bool:
            begin()
            return confirm(question)

        return await project.rebuild_state(force=yes, confirm=ask, lock_timeout=patience)

    doing = "Looking for all that is out there"
    rebuilt = watched_at_target(project, work, local=local, quiet=as_json, doing=doing)
    if not as_json:
        show_diagnostics(settings, rebuilt.diagnostics)
    if not rebuilt.done:
        return not_approved()
    if as_json:
        _print_json(rebuilt)
    else:
        _print(rebuilt)
    return 0


def _print(rebuilt: Rebuilt) -> None:
    state = rebuilt.state
    for address in sorted(state.resources):
        click.echo(f"{address} ({state.resources[address].id})")
    lost = [] if rebuilt.before is None else sorted(rebuilt.before.resources.keys() - state.resources.keys())
    for address in lost:
        click.echo(f"Not found: {address}", err=True)
    click.echo(f"The state has the serial {state.serial} and {len(state.resources)} resources.", err=True)


def _print_json(rebuilt: Rebuilt) -> None:
    from nexus.render.documents import diagnostics_to_json

    state = rebuilt.state
    resources = [{"address": str(address), "id": state.resources[address].id} for address in sorted(state.resources)]
    document = {
        "format_version": 1,
        "lineage": state.lineage,
        "serial": state.serial,
        "resources": resources,
        "deposed": [{"address": str(item.address), "id": item.id} for item in state.deposed],
        "diagnostics": diagnostics_to_json(rebuilt.diagnostics),
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
