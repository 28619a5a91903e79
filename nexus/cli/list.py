"""``nexus list``: which sandboxes there are right now."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live, say_target
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, Listed, Whereabouts
    from nexus.api.account import SandboxStatus

STATUSES: Mapping[str, SandboxStatus | None] = {
    "running": "running",
    "paused": "paused",
    "stopped": "paused",
    "all": None,
}
SORTS = ("created_at", "expires_at", "name", "template", "status")


@click.command(
    "list",
    epilog=examples(
        "nexus list  # this project's",
        "nexus list --all --status paused  # of the account",
        "nexus list --sort-by expires_at --order asc --limit 5  # the next to end",
    ),
)
@click.option("--status", type=click.Choice(tuple(STATUSES)), default="all", show_default=True, help="Only these.")
@click.option("--template", metavar="NAME", help="Only those made from this template.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most so many.")
@click.option("--sort-by", type=click.Choice(SORTS), default="created_at", show_default=True, help="What to sort by.")
@click.option("--order", type=click.Choice(("asc", "desc")), default="desc", show_default=True, help="Which end first.")
@click.option("--all", "everything", is_flag=True, help="All of the account, not only this project's.")
@environment_option
@target_options
@json_option("the sandboxes")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    status: str,
    template: str | None,
    limit: int | None,
    sort_by: str,
    order: str,
    everything: bool,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """List the live sandboxes of this project's environment; all of the account outside of a project."""

    async def work(folder: AsyncFolder) -> tuple[Whereabouts, Listed]:
        where = await (folder.where() if as_json else say_target(folder, local=local))
        listed = await folder.list(
            status=STATUSES[status],
            template=template,
            limit=limit,
            sort_by=sort_by,
            descending=order == "desc",
            everything=everything,
            with_usage=as_json,
        )
        return where, listed

    where, listed = on_live(folder_of(settings, environment, local=local), work)
    now = datetime.now(UTC)
    if as_json:
        from nexus.render.operating import list_to_json

        document = list_to_json(
            listed.sandboxes,
            listed.usage,
            listed.last_executions,
            total=listed.total,
            running=listed.running,
            stopped=listed.stopped,
            now=now,
        )
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    _print(settings, listed, now, with_project=everything or not where.project)
    return 0


def _print(settings: Settings, listed: Listed, now: datetime, *, with_project: bool) -> None:
    from nexus.render.operating import print_list

    if listed.sandboxes:
        print_list(settings.console(), listed.sandboxes, now, with_project=with_project)
    hidden = f", {len(listed.sandboxes)} shown" if len(listed.sandboxes) != listed.total else ""
    click.echo(f"{listed.running} running, {listed.stopped} paused{hidden}", err=True)
