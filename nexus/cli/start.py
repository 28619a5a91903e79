"""``nexus start``: make a paused sandbox run again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.running import duration_of
from nexus.cli.settings import Settings


@click.command(
    "start",
    epilog=examples(
        "nexus start web",
        "nexus start web --timeout 2h",
    ),
)
@sandbox_argument
@click.option("--timeout", metavar="DURATION", help="How long it lives; its declared timeout, or an hour, if not said.")
@environment_option
@target_options
@json_option("until when it lives")
@click.pass_obj
@guarded
def command(settings: Settings, sandbox: str, timeout: str | None, environment: str, local: bool, as_json: bool) -> int:
    """Make SANDBOX run again, where it was stopped: a name, name[key], an address, or an id at E2B.

    One that runs is left as it is. One that is gone is made again by «nexus apply».
    """
    lifetime = None if timeout is None else round(duration_of(timeout, "--timeout"))

    folder = folder_of(settings, environment, local=local)
    moved = on_live(folder, lambda folder: folder.sandbox(sandbox).start(lifetime=lifetime))
    from nexus.render.lifetimes import moved_to_json, start_text

    if as_json:
        click.echo(json.dumps(moved_to_json(moved.before, moved.after), indent=2, ensure_ascii=False))
    else:
        click.echo(start_text(moved.before, moved.after, datetime.now(UTC)))
    return 0
