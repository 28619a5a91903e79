"""``nexus fork``: more sandboxes like one that runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.running import duration_of
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, Forks, FoundSandbox

MOST = 20
PARTLY_FORKED = 3


@click.command(
    "fork",
    epilog=examples(
        "nexus fork web",
        "nexus fork web --count 5 --timeout 10m",
    ),
)
@sandbox_argument
@click.option("--count", type=click.IntRange(1, MOST), default=1, show_default=True, help="How many.")
@click.option("--timeout", metavar="DURATION", help="How long each lives; as long as SANDBOX is declared to, else 1h.")
@environment_option
@target_options
@json_option("the new sandboxes")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    count: int,
    timeout: str | None,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Make sandboxes of what is in SANDBOX right now: a name, name[key], an address, or an id at E2B.

    Each has an id of its own, which is printed. They are no part of the project: no plan knows of them, and they end
    when their time is up. They bear the marks of SANDBOX, though, which can't be changed: «nexus list» and «nexus
    delete --all» count them in. «nexus import» makes one a resource of its own. SANDBOX itself goes on.
    """
    lifetime = None if timeout is None else round(duration_of(timeout, "--timeout"))

    async def work(folder: AsyncFolder) -> tuple[FoundSandbox, Forks]:
        handle = folder.sandbox(sandbox)
        return await handle.found(), await handle.fork(count, lifetime=lifetime)

    found, forks = on_live(folder_of(settings, environment, local=local), work)
    if as_json:
        from nexus.render.documents import diagnostics_to_json

        document = {
            "format_version": 1,
            "success": not forks.problems,
            "source": found.id,
            "address": found.address or None,
            "forks": [{"sandbox_id": item} for item in forks.ids],
            "diagnostics": diagnostics_to_json(forks.problems),
        }
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        for item in forks.ids:
            click.echo(item)
        show_diagnostics(settings, forks.problems)
        if forks.ids:
            click.echo("No plan knows of these; «nexus delete ID» removes one.", err=True)
    return 0 if not forks.problems else PARTLY_FORKED if forks.ids else 1
