"""``nexus status``: one sandbox in detail."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings


@click.command(
    "status",
    epilog=examples(
        "nexus status web",
        "nexus status 'worker[0]' --json",
        "nexus status i3f9k2q7  # any of the account, by its id",
    ),
)
@sandbox_argument
@environment_option
@target_options
@json_option("the sandbox")
@click.pass_obj
@guarded
def command(settings: Settings, sandbox: str, environment: str, local: bool, as_json: bool) -> int:
    """Show all there is to know of SANDBOX: a name, name[key], an address, or an id at E2B.

    How long it runs and when it ends, what it uses, its network's rules, what is installed, the names of its variables
    (never a value), what nexus ran in it, and the alerts that the manifest declares. A paused one is not woken.
    """

    status = on_live(folder_of(settings, environment, local=local), lambda folder: folder.sandbox(sandbox).status())
    from nexus.render.status import print_status, status_to_json

    facts = (status.sandbox, status.network, status.usage, status.surroundings)
    now = datetime.now(UTC)
    if as_json:
        document = status_to_json(*facts, start_command=status.start_command, alerts=status.alerts, now=now)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_status(settings.console(), *facts, start_command=status.start_command, alerts=status.alerts, now=now)
    return 0
