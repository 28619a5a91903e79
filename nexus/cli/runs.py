"""``nexus runs …``: what was done when, run by run."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncFolder, Run, RunStatus


@click.group(
    "runs",
    invoke_without_command=True,
    epilog=examples(
        "nexus runs",
        "nexus runs -n 5  # the newest",
        "nexus runs show  # the newest in detail",
    ),
)
@click.option("-n", "limit", type=click.IntRange(1), metavar="N", help="At most so many, the newest.")
@environment_option
@json_option("the runs")
@click.pass_context
def command(context: click.Context, limit: int | None, environment: str, as_json: bool) -> int:
    """List the runs of this project's environment that did something: applies, destroys, and runs of pipelines.

    The newest comes first. The last 50 are kept, beside the state; one that was killed is shown as interrupted.
    """
    if context.invoked_subcommand is not None:
        return 0
    settings = context.find_object(Settings)
    assert settings is not None
    return _list(settings, limit=limit, environment=environment, as_json=as_json)


@guarded
def _list(settings: Settings, *, limit: int | None, environment: str, as_json: bool) -> int:
    from nexus.render.runs import print_runs, runs_to_json

    found = asyncio.run(folder_of(settings, environment).runs(limit=limit))
    listed = [(item.summary, item.status) for item in found]
    if as_json:
        click.echo(json.dumps(runs_to_json(listed), indent=2, ensure_ascii=False))
    elif listed:
        print_runs(settings.console(), listed)
    else:
        click.echo("No run was recorded yet.", err=True)
    return 0


@command.command(
    "show",
    epilog=examples(
        "nexus runs show  # the newest",
        "nexus runs show 20260131  # the beginning of an id",
        "nexus runs show --log step.etl.report  # what one step wrote",
    ),
)
@click.argument("run_id", required=False, metavar="[ID]")
@click.option("--log", "logged", metavar="STEP", help="Print what one step (or operation) wrote, and nothing else.")
@environment_option
@json_option("the run")
@click.pass_obj
@guarded
def show(settings: Settings, run_id: str | None, logged: str | None, environment: str, as_json: bool) -> int:
    """Show one run: ID or the beginning of it; the newest if not said.

    Each step with how it ended, its attempts, exit code, time, CPU time, memory and files; then all other operations.
    """
    if logged is not None and as_json:
        raise click.UsageError("--log prints a log as it is: it does not go together with --json.")
    from nexus.render.runs import print_run, run_to_json

    folder = folder_of(settings, environment)
    if logged is not None:
        click.echo(asyncio.run(folder.run_log(logged, run_id)), nl=False)
        return 0
    run, status = asyncio.run(_find(folder, run_id))
    if as_json:
        click.echo(json.dumps(run_to_json(run, status), indent=2, ensure_ascii=False))
    else:
        print_run(settings.console(), run, status)
    return 0


async def _find(folder: AsyncFolder, run_id: str | None) -> tuple[Run, RunStatus]:
    run = await folder.run_record(run_id)
    return run, await folder.run_status(run)
