"""``nexus upload``: files of this machine into a sandbox."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.copying import OnProgress, run_copy
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, json_option, sandbox_argument, target_options
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

if TYPE_CHECKING:
    from nexus import AsyncSandboxHandle, Copied


@click.command(
    "upload",
    epilog=examples(
        "nexus upload web data.csv data/  # into a folder of the user's home",
        "nexus upload web ./site /srv/site  # what is in a folder",
        "nexus upload web app.conf /etc/app.conf --user root",
    ),
)
@sandbox_argument
@click.argument("source", metavar="LOCAL", type=click.Path(path_type=Path))
@click.argument("target", metavar="REMOTE")
@click.option("--user", metavar="USER", help="User whom the files belong to; the sandbox's own if not said.")
@environment_option
@target_options
@json_option("what was uploaded")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    sandbox: str,
    source: Path,
    target: str,
    user: str | None,
    environment: str,
    local: bool,
    as_json: bool,
) -> int:
    """Copy LOCAL, a file or a folder, to REMOTE in SANDBOX: a name, name[key], an address, or an id at E2B.

    A file goes into REMOTE where that is a folder or ends in a slash; of a folder, what is in it comes to be in REMOTE.
    REMOTE is relative to the user's home. Missing folders are made, files of the same name are written over, others
    stay. Links are copied as links. Nothing is held in memory as a whole, and every file's checksum is verified.
    """
    if not source.exists():
        raise DiagnosticsError(error("file-unreadable", f"There is no {source}"))

    async def copy(handle: AsyncSandboxHandle, on_progress: OnProgress) -> Copied:
        return await handle.upload(source, target, user=user, on_progress=on_progress)

    return run_copy(
        settings,
        sandbox,
        copy,
        verb="upload",
        source=str(source),
        environment=environment,
        local=local,
        as_json=as_json,
    )
