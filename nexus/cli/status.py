"""``nexus status``: one sandbox in detail."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.live import on_live
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.providers.operating import Operator
    from nexus.workflows.operating import Place
    from nexus.workflows.status import Status


@click.command("status")
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

    async def work(place: Place, operator: Operator) -> Status:
        from nexus.workflows.operating import find_sandbox
        from nexus.workflows.status import alerts_of, look_at

        found = await find_sandbox(place, operator, sandbox)
        alerts = alerts_of(settings.folder, environment, settings.environment, found.address) if found.address else {}
        return await look_at(place, operator, found, alerts)

    status = on_live(settings, environment, local=local, work=work)
    from nexus.render.status import print_status, status_to_json

    facts = (status.sandbox, status.network, status.usage, status.surroundings)
    now = datetime.now(UTC)
    if as_json:
        document = status_to_json(*facts, start_command=status.start_command, alerts=status.alerts, now=now)
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
    else:
        print_status(settings.console(), *facts, start_command=status.start_command, alerts=status.alerts, now=now)
    return 0
