"""``nexus import``: a live sandbox that nexus did not make becomes the one of a block."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import ADDRESS, json_option, lock_timeout_option, project_options, target_options
from nexus.cli.running import at_target, load_project, seconds
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.command(
    "import",
    epilog=examples(
        "nexus import --generate sandbox.web i3f9k2q7  # print a block that fits",
        "nexus import sandbox.web i3f9k2q7  # once its block is there",
    ),
)
@click.argument("address", type=ADDRESS)
@click.argument("live_id", metavar="ID")
@click.option("--generate", is_flag=True, help="Only print a block that fits the sandbox; change nothing.")
@project_options
@target_options
@lock_timeout_option
@json_option("what was imported")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    address: Address,
    live_id: str,
    generate: bool,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    lock_timeout: str,
    as_json: bool,
) -> int:
    """Take over the live sandbox ID as ADDRESS, whose block has to fit it. Nothing is done to the sandbox.

    What its block says besides, such as packages, is brought about by the next apply. An entry of «import» in the
    manifest does the same within an apply, and lets «nexus state rebuild» find the sandbox again: it bears no marks.
    """
    project = load_project(settings, environment, var_texts, var_files, local=local)
    if generate:
        block = at_target(project, lambda project: project.block_for(address, live_id), local=local, quiet=as_json)
        click.echo(block, nl=False)
        return 0
    patience = seconds(lock_timeout)
    imported = at_target(
        project,
        lambda project: project.import_sandbox(address, live_id, lock_timeout=patience),
        local=local,
        quiet=as_json,
    )
    changes = sorted({diff.path for diff in imported.change.fields})
    if as_json:
        document = {"format_version": 1, "address": str(address), "id": live_id, "differing_fields": changes}
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    show_diagnostics(settings, imported.diagnostics)
    click.echo(f"{address} is {live_id} from now on.")
    if changes:
        click.echo(f"The next apply brings about what its block says of: {', '.join(changes)}", err=True)
    return 0
