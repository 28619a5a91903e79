"""``nexus apply``: make what is out there match the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.options import RunOptions, junit_option, run_options, selection_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import PlanOptions


@click.command("apply")
@click.argument("planfile", required=False, type=click.Path(path_type=Path))
@selection_options
@junit_option
@click.pass_obj
@guarded_stream
@run_options
def command(
    settings: Settings,
    run: RunOptions,
    planfile: Path | None,
    options: PlanOptions,
    junit: Path | None,
) -> int:
    """Plan, ask, and do it. With PLANFILE, do exactly what was saved, or refuse when it is not what would be done now.

    Exit code 3 when some of it failed: what is done is recorded, and the next apply continues. Ctrl-C finishes what is
    in flight; a second one cancels it.
    """
    return run_apply(settings, run, options, planfile=planfile, junit=junit)
