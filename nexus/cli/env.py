"""``nexus env …``: the environments of a project as a whole."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import confirm, require_a_person
from nexus.cli.completing import completes, environments
from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import json_option, target_options, variable_options
from nexus.cli.running import load_project
from nexus.cli.settings import Settings
from nexus.cli.state_editing import not_approved

if TYPE_CHECKING:
    from nexus.model.environments import Standing

_NAME = completes(environments)


@click.group("env", epilog=examples("nexus env list", "nexus env diff staging prod", "nexus env prune"))
def command() -> None:
    """The environments of the project: those that it declares, and branches of them."""


@command.command("list", short_help="List environments with their state.", epilog=examples("nexus env list --json"))
@json_option("the environments")
@click.pass_obj
@guarded
def list_(settings: Settings, as_json: bool) -> int:
    """List the environments that the project declares, and those that have a state here.

    «last used» is when something was last applied from here, or made. An environment with a «ttl» ends so long after
    that: «nexus env prune» then removes what is left of it.
    """
    from nexus.render.environments import print_standings, standings_to_json

    found, now = asyncio.run(folder_of(settings, "default").environments()), datetime.now(UTC)
    if as_json:
        click.echo(json.dumps(standings_to_json(found, now), indent=2, ensure_ascii=False))
    else:
        print_standings(settings.console(), found, now)
    return 0


@command.command(
    "diff",
    short_help="Show what two environments ask for differently.",
    epilog=examples(
        "nexus env diff staging prod",
        "nexus env diff default preview/login --detailed-exitcode",
        exit_codes={2: "they differ, with --detailed-exitcode"},
    ),
)
@click.argument("first", shell_complete=_NAME)
@click.argument("second", shell_complete=_NAME)
@variable_options
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for no difference, 2 for differences.")
@json_option("the differences")
@click.pass_obj
@guarded
def diff(
    settings: Settings,
    first: str,
    second: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    detailed_exitcode: bool,
    as_json: bool,
) -> int:
    """Show what two environments ask for differently, address by address. Touches no network.

    Names that only tell the two apart are no difference.
    """
    from nexus.render.environments import differences_to_json, print_differences

    one, other = (load_project(settings, name, var_texts, var_files) for name in (first, second))
    found = one.compare(other)
    if as_json:
        click.echo(json.dumps(differences_to_json(first, second, found), indent=2, ensure_ascii=False))
    else:
        print_differences(settings.console(), first, second, found)
    return 2 if detailed_exitcode and found else 0


@command.command(
    "prune",
    short_help="Remove environments whose time is over.",
    epilog=examples(
        "nexus env prune",
        "nexus env prune --auto-approve  # on a schedule",
        exit_codes={3: "some could not be removed"},
    ),
)
@variable_options
@target_options
@click.option("-y", "--auto-approve", is_flag=True, help="Do not ask.")
@json_option("what was removed")
@click.pass_obj
@guarded
def prune(
    settings: Settings,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    auto_approve: bool,
    as_json: bool,
) -> int:
    """Destroy what is left of environments whose «ttl» has passed: templates, volumes, sandboxes that are paused.

    Their sandboxes have ended by themselves by then. An environment without a «ttl» is never over.
    """
    from nexus.render.environments import pruned_to_json

    found = asyncio.run(folder_of(settings, "default").environments())
    over = [item for item in found if item.is_over(datetime.now(UTC))]
    if over and not auto_approve:
        require_a_person(as_json=as_json)
        if not confirm(f"Remove {', '.join(item.name for item in over)}?"):
            return not_approved()
    kept = [item.name for item in over if not _remove(settings, item, var_texts, var_files, local=local)]
    removed = [item.name for item in over if item.name not in kept]
    if as_json:
        click.echo(json.dumps(pruned_to_json(removed, kept), indent=2, ensure_ascii=False))
    else:
        for name in removed:
            click.echo(f"{name} is removed.")
        if not over:
            click.echo("No environment is over.")
    return 3 if kept else 0


def _remove(
    settings: Settings, over: Standing, var_texts: tuple[str, ...], var_files: tuple[Path, ...], *, local: bool
) -> bool:
    """Destroy it; False, with all that is to be said, where that was not possible. Others are not held up by it."""
    from nexus.api.errors import ApplyError
    from nexus.model.diagnostics import DiagnosticsError

    try:
        asyncio.run(load_project(settings, over.name, var_texts, var_files, local=local).destroy())
    except ApplyError as failure:
        show_diagnostics(settings, failure.applied.diagnostics)
        return False
    except DiagnosticsError as problem:
        show_diagnostics(settings, problem.diagnostics)
        return False
    return True
