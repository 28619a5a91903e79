"""``nexus pool …``: sandboxes that stand ready, to be taken one by one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.completing import completes, pools, sandboxes
from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import on_live
from nexus.cli.manual import examples
from nexus.cli.options import json_option, project_options, target_options
from nexus.cli.running import duration_of, load_project, seconds
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncProject, PoolStanding, TakenSandbox

_PATIENCE = click.option(
    "--lock-timeout",
    default="5m",
    show_default=True,
    metavar="DURATION",
    help="How long to wait for others who take, and for an apply.",
)


@click.group("pool", epilog=examples("nexus pool list", "nexus pool take agent --timeout 1h"))
def command() -> None:
    """Sandboxes that stand ready (pool: in their block): take one, see who has the others."""


@command.command(
    "take",
    short_help="Take a sandbox that stands ready.",
    epilog=examples(
        "nexus pool take agent",
        "nexus pool take agent --timeout 1h --for 'issue 42' --json",
        "nexus pool take agent --wait 2m  # where a controller fills the pool",
        "nexus pool take agent --create   # where none does",
        exit_codes={1: "none stood ready, or it could not be taken"},
    ),
)
@click.argument("pool", shell_complete=completes(pools))
@click.option("--timeout", metavar="DURATION", help="How long it lives from now on; its block's timeout if not said.")
@click.option("--for", "purpose", default="", metavar="TEXT", help="What it is for; «nexus pool list» shows it.")
@click.option("--wait", metavar="DURATION", help="Where none stands ready, wait so long for one.")
@click.option("--create", is_flag=True, help="Where none stands ready, fill the pool now, as «nexus apply» does.")
@_PATIENCE
@project_options
@target_options
@json_option("the sandbox")
@click.pass_obj
@guarded
def take(
    settings: Settings,
    pool: str,
    timeout: str | None,
    purpose: str,
    wait: str | None,
    create: bool,
    lock_timeout: str,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    as_json: bool,
) -> int:
    """Take a sandbox out of POOL, the name of its block. It is yours from then on, and nobody else gets it.

    It lives until its time is up, or «nexus pool release» ends it. The next apply, or the controller's next look, makes
    another in its place. Takes wait for one another, and for an apply that is under way.
    """
    lifetime = None if timeout is None else round(duration_of(timeout, "--timeout"))
    waited = 0.0 if wait is None else duration_of(wait, "--wait")

    async def work(project: AsyncProject) -> TakenSandbox:
        return await project.take(
            pool,
            lifetime=lifetime,
            purpose=purpose,
            wait=waited,
            create=create,
            lock_timeout=seconds(lock_timeout),
        )

    found = on_live(load_project(settings, environment, var_texts, var_files, local=local), work)
    from nexus.render.pools import handed_text, handed_to_json

    show_diagnostics(settings, found.diagnostics)
    if as_json:
        document = handed_to_json(found.sandbox, found.record, urls=found.urls, ready=found.ready)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        click.echo(handed_text(found.sandbox, datetime.now(UTC), urls=found.urls, ready=found.ready))
    return 0


@command.command(
    "list",
    short_help="Show what stands ready, and who has the rest.",
    epilog=examples("nexus pool list", "nexus pool list -e prod --json"),
)
@project_options
@target_options
@json_option("the pools")
@click.pass_obj
@guarded
def list_(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    as_json: bool,
) -> int:
    """Show the pools that the project declares: what stands ready in each, and who took what, until when."""

    async def work(project: AsyncProject) -> Sequence[PoolStanding]:
        return await project.pools()

    found = on_live(load_project(settings, environment, var_texts, var_files, local=local), work)
    from nexus.render.pools import pools_to_json, print_pools

    if as_json:
        click.echo(json.dumps(pools_to_json(found), indent=2, ensure_ascii=False))
    else:
        print_pools(settings.console(), found, datetime.now(UTC))
    return 0


@command.command(
    "release",
    short_help="End a sandbox that was taken.",
    epilog=examples("nexus pool release iq4h2k8w3m1z5x7c9v0b2"),
)
@click.argument("sandbox", shell_complete=completes(sandboxes))
@_PATIENCE
@project_options
@target_options
@json_option("what was ended")
@click.pass_obj
@guarded
def release(
    settings: Settings,
    sandbox: str,
    lock_timeout: str,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    as_json: bool,
) -> int:
    """End SANDBOX, the id or the address of one that was taken, before its time is up.

    No pool takes a used sandbox back: what was done in it would be there for whoever gets it next.
    """
    patience = seconds(lock_timeout)
    project = load_project(settings, environment, var_texts, var_files, local=local)
    record = on_live(project, lambda project: project.end_taken(sandbox, lock_timeout=patience))
    if as_json:
        from nexus.render.pools import ended_to_json

        click.echo(json.dumps(ended_to_json(record), indent=2, ensure_ascii=False))
    else:
        click.echo(f"{record.address} ({record.id}) is ended.")
    return 0
