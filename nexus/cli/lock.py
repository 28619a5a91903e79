"""``nexus lock``: resolve what the manifest asks for, and write it down for everybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import json_option, project_options, target_options
from nexus.cli.running import load_project, watched_at_target
from nexus.cli.settings import Settings
from nexus.cli.waiting import Stop

if TYPE_CHECKING:
    from nexus import AsyncProject, Locked


@click.command(
    "lock",
    epilog=examples(
        "nexus lock  # what is new",
        "nexus lock --upgrade  # everything, as of today",
        "nexus lock --upgrade sandbox.web  # one block",
        "nexus plan --locked  # refuse what nexus.lock does not have",
    ),
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--upgrade", is_flag=True, help="Resolve anew: the blocks that are named, or all.")
@project_options
@target_options
@json_option("what changed in the lock file")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    names: tuple[str, ...],
    upgrade: bool,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    as_json: bool,
) -> int:
    """Write nexus.lock: the exact versions of all packages, and digests of what is uploaded. Commit it.

    What is locked already stays as it is; what is new is resolved in sandboxes that are removed at once. From then on
    plan and apply install exactly what is locked, here and elsewhere.
    """
    from nexus.render.locks import locked_to_json, print_locked

    if names and not upgrade:
        raise click.UsageError("Names say what is to be resolved anew: nexus lock --upgrade NAME")
    project = load_project(settings, environment, var_texts, var_files, local=local)

    async def work(project: AsyncProject, begin: Stop) -> Locked:
        def tell(line: str) -> None:
            begin()
            if not as_json:
                click.echo(line, err=True)

        return await project.lock(names or upgrade, tell=tell)

    locked = watched_at_target(project, work, local=local, quiet=as_json, doing="Looking for what is to be locked")
    if as_json:
        document = locked_to_json(locked.before, locked.after, locked.diagnostics, written=locked.written)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    show_diagnostics(settings, locked.diagnostics)
    print_locked(settings.console(), locked.before, locked.after, written=locked.written)
    return 0
