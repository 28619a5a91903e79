"""``nexus download``: files of a sandbox to this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nexus.cli.copying import OnProgress, run_copy
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncSandboxHandle, Copied


@click.command(
    "download",
    epilog=examples(
        "nexus download web report.json .",
        "nexus download web /var/log logs  # a folder, with what is in it",
    ),
)
@sandbox_argument
@click.argument("source", metavar="REMOTE")
@click.argument("target", metavar="LOCAL")
@click.option("--user", metavar="USER", help="User of the sandbox to read as; the sandbox's own if not said.")
@environment_option
@target_options
@json_option("what was downloaded")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    source: str,
    target: str,
    user: str | None,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Copy REMOTE, a file or a folder of SANDBOX, to LOCAL: a name, name[key], an address, or an id at E2B.

    A file goes into LOCAL where that is a folder or ends in a slash; of a folder, what is in it comes to be in LOCAL.
    REMOTE is relative to the user's home. Nothing is written outside of LOCAL: links that lead out of it are left out.
    Nothing is held in memory as a whole, and every file's checksum is verified before it gets its name.
    """

    async def copy(handle: AsyncSandboxHandle, on_progress: OnProgress) -> Copied:
        return await handle.download(source, target, user=user, on_progress=on_progress)

    return run_copy(
        settings,
        sandbox,
        copy,
        verb="download",
        source=source,
        environment=environment,
        local=local,
        as_json=as_json,
    )
