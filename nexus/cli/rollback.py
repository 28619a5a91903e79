"""``nexus rollback``: an apply of the project's files as they were."""

from __future__ import annotations

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.manual import examples
from nexus.cli.options import RunOptions, run_options
from nexus.cli.settings import Settings


@click.command(
    "rollback",
    epilog=examples(
        "nexus history",
        "nexus rollback 12  # as it was after entry 12",
        "nexus rollback v1.4 -e prod  # as a tag has it",
        exit_codes={
            0: "done",
            1: "an error, and nothing was done",
            3: "partly done; the same again continues",
            130: "interrupted; the same again continues",
        },
    ),
)
@click.argument("revision")
@click.pass_obj
@guarded_stream
@run_options
def command(settings: Settings, run: RunOptions, revision: str) -> int:
    """Plan with the project's files as they were, ask, and do it. Your files stay as they are.

    REVISION is a number of «nexus history», or a commit, branch or tag of the project's Git repository. Manifest,
    uploads and nexus.lock are those of the commit, and the plan is an ordinary one: policies hold, and nothing is done
    but what it shows. The next «nexus apply» goes forward again.
    """
    from nexus.api.plans import plan_options

    return run_apply(settings, run, plan_options(), revision=revision)
