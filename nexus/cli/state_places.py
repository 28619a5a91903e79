"""``nexus state versions`` and ``migrate``: the states that were, and the place where they are."""

from __future__ import annotations

import asyncio
import json

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, lock_timeout_option, yes_option
from nexus.cli.running import seconds
from nexus.cli.settings import Settings
from nexus.cli.state_editing import asking, not_approved


@click.command(
    "versions",
    short_help="List the states before the one there is.",
    epilog=examples("nexus state versions", "nexus state versions -e prod --json"),
)
@environment_option
@json_option("the states that are kept")
@click.pass_obj
@guarded
def versions(settings: Settings, environment: str, as_json: bool) -> int:
    """List the serials of the states before the one there is, the newest first.

    «nexus state pull --serial N» prints one, and «nexus state push» puts it back. On a server the last 50 are kept, in
    the project's folder the last one; behind a server of Terraform's protocol it is the server that keeps them.
    """
    found = asyncio.run(folder_of(settings, environment).versions())
    if as_json:
        rows = [{"serial": item.serial, "lineage": item.lineage} for item in found]
        click.echo(json.dumps({"format_version": 1, "versions": rows}, indent=2, ensure_ascii=False))
        return 0
    for item in found:
        click.echo(str(item.serial))
    if not found:
        click.echo("No older state is kept.", err=True)
    return 0


@click.command(
    "migrate",
    short_help="Bring the state to where the manifest keeps it now.",
    epilog=examples(
        "nexus state migrate  # after a change of «state» in the manifest", "nexus state migrate -e prod --yes"
    ),
)
@environment_option
@lock_timeout_option
@yes_option
@json_option("from where to where")
@click.pass_obj
@guarded
def migrate(settings: Settings, environment: str, lock_timeout: str, yes: bool, as_json: bool) -> int:
    """Bring the state to where the manifest («state») keeps it by now, from where it was last used.

    Each environment is migrated by itself. What is left behind stays as it was, and is not used any more. A state of
    another lineage is never replaced.
    """
    work = folder_of(settings, environment).migrate_state(
        confirm=asking(yes=yes, as_json=as_json), lock_timeout=seconds(lock_timeout)
    )
    migrated = asyncio.run(work)
    if not migrated.done:
        return not_approved()
    source, target, state = migrated.source, migrated.target, migrated.state
    if as_json:
        document = {
            "format_version": 1,
            "from": str(source),
            "to": str(target),
            "copied": migrated.copied,
            "serial": None if state is None else state.serial,
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    elif source.is_same_place(target):
        click.echo(f"The state is in {target} already.")
    elif state is None:
        click.echo(f"There was no state yet: it will be in {target}.")
    else:
        click.echo(f"The state (serial {state.serial}) is in {target} now, and no longer looked for in {source}.")
    return 0
