"""``nexus extend``: set how much longer a sandbox lives."""

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
    "extend",
    epilog=examples(
        "nexus extend web 2h",
        "nexus extend 'worker[0]' 30m",
    ),
)
@sandbox_argument
@click.argument("duration")
@environment_option
@target_options
@json_option("until when it lives")
@click.pass_obj
@guarded
def command(settings: Settings, sandbox: str, duration: str, environment: str, local: bool, as_json: bool) -> int:
    """Let SANDBOX live for DURATION from now, such as 2h: a name, name[key], an address, or an id at E2B.

    What it had left does not count, so this shortens as well. Its declared timeout counts again when it is started
    anew.
    """
    lifetime = round(duration_of(duration, "DURATION"))

    folder = folder_of(settings, environment, local=local)
    moved = on_live(folder, lambda folder: folder.sandbox(sandbox).extend(lifetime))
    from nexus.render.lifetimes import extend_text, moved_to_json

    if as_json:
        click.echo(json.dumps(moved_to_json(moved.before, moved.after), indent=2, ensure_ascii=False))
    else:
        click.echo(extend_text(moved.after, datetime.now(UTC)))
    return 0
