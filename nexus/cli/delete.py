"""``nexus delete``: remove live sandboxes for good."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import confirm
from nexus.cli.completing import completes, sandboxes
from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, target_options
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

if TYPE_CHECKING:
    from nexus import AsyncFolder, Deletion, LiveSandbox, Whereabouts

PARTLY_DELETED = 3


@click.command(
    "delete",
    epilog=examples(
        "nexus delete web",
        "nexus delete 'worker[0]' 'worker[1]' --yes",
        "nexus delete --all -e preview  # every sandbox of an environment",
    ),
)
@click.argument("sandboxes", nargs=-1, metavar="[SANDBOX...]", shell_complete=completes(sandboxes))
@click.option("--all", "everything", is_flag=True, help="All of this project's environment; of the account outside.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask. Needed where nobody can be asked.")
@environment_option
@target_options
@json_option("what was deleted")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandboxes: tuple[str, ...],
    everything: bool,
    yes: bool,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Remove each SANDBOX for good, with all that is in it: a name, name[key], an address, or an id at E2B.

    The state is not changed: the next apply makes those of the manifest again. «nexus destroy» takes a whole project
    down. Volumes and snapshots stay.
    """
    if everything is bool(sandboxes):
        raise click.UsageError("Say which: either SANDBOX... or --all.")
    if not yes:
        _require_a_person(as_json=as_json)

    async def work(folder: AsyncFolder) -> tuple[Whereabouts, Deletion | None]:
        found, where = await folder.find(*sandboxes), await folder.where()
        if found and not yes and not _approved(found, whole_account=everything and not where.project):
            return where, None
        return where, await folder.delete(found)

    where, deletion = on_live(folder_of(settings, environment, local=local), work)
    if deletion is None:
        click.echo("Not approved: nothing was deleted.", err=True)
        return 1
    if as_json:
        _print_document(deletion, billed=where.is_billed)
    else:
        _print(settings, deletion, billed=where.is_billed)
    return 0 if not deletion.problems else PARTLY_DELETED if deletion.deleted else 1


def _require_a_person(*, as_json: bool) -> None:
    if not as_json and sys.stdin.isatty():
        return
    raise DiagnosticsError(
        error(
            "not-approved",
            "Nobody is there to approve this",
            detail="Questions are only asked on a terminal, and never together with --json.",
            hint="add --yes",
        )
    )


def _approved(found: Sequence[LiveSandbox], *, whole_account: bool) -> bool:
    from nexus.render.operating import display_name
    from nexus.render.values import plural

    for item in found:
        click.echo(f"  {display_name(item)} ({item.id}, {item.status})", err=True)
    whose = ", all of the account," if whole_account else ""
    return confirm(f"Delete {plural(len(found), 'sandbox', 'sandboxes')}{whose} and all that is in them?")


def _print_document(deletion: Deletion, *, billed: bool) -> None:
    from nexus.render.lifetimes import deleted_to_json, deletion_to_json

    deleted = [deleted_to_json(item.sandbox, item.contents, item.at, billed=billed) for item in deletion.deleted]
    click.echo(json.dumps(deletion_to_json(deleted, deletion.problems), indent=2, ensure_ascii=False))


def _print(settings: Settings, deletion: Deletion, *, billed: bool) -> None:
    from nexus.render.lifetimes import deleted_text

    for item in deletion.deleted:
        click.echo(deleted_text(item.sandbox, item.contents, item.at, billed=billed))
    show_diagnostics(settings, deletion.problems)
    if not deletion.deleted and not deletion.problems:
        click.echo("There is no sandbox to delete.")
