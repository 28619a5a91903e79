"""``nexus apply``: make what is out there match the manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.manual import examples
from nexus.cli.options import RunOptions, junit_option, run_options, selection_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import PlanOptions


@click.command(
    "apply",
    epilog=examples(
        "nexus apply  # plan, ask, do",
        "nexus apply friday.plan  # what was saved, or nothing",
        "nexus apply -e prod --auto-approve  # where nobody can be asked",
        "nexus apply --replace 'sandbox.worker[0]'  # make one anew",
        "nexus apply --junit report.xml  # steps as test cases",
        exit_codes={
            0: "done",
            1: "an error, and nothing was done",
            3: "partly done; the next apply continues",
            130: "interrupted; the next apply continues",
        },
    ),
)
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
