"""``nexus mcp``: the same commands as tools for agents."""

from __future__ import annotations

import click

from nexus.cli.failures import report
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, target_options
from nexus.cli.settings import Settings


@click.command(
    "mcp",
    epilog=examples(
        "claude mcp add nexus -- nexus -C /path/to/project mcp",
        "nexus mcp --read-only  # look, and touch nothing",
        "nexus mcp -e staging --local",
    ),
)
@environment_option
@target_options
@click.option("--read-only", is_flag=True, help="Offer only the tools that change nothing.")
@click.pass_obj
def command(settings: Settings, environment: str, local: bool, read_only: bool) -> int:
    """Serve nexus' commands to agents as tools of the Model Context Protocol, on stdin and stdout.

    An agent's client starts this by itself, in the project's folder or with -C: docs/mcp.md shows how to set it up.
    Nothing but the protocol is written to stdout.
    """
    from nexus.mcp.seat import Seat
    from nexus.mcp.serving import serve

    seat = Seat(folder=settings.folder, environment=environment, process=settings.environment, local=local)
    serve(seat, read_only=read_only, on_bug=report)
    return 0
