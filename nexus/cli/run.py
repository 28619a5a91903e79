"""``nexus run``: the steps of a pipeline, with what they need and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import run_apply
from nexus.cli.completing import completes, pipelines, steps
from nexus.cli.failures import guarded_stream
from nexus.cli.manual import examples
from nexus.cli.options import RunOptions, junit_option, run_options
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncProject, PlanOptions


@click.command(
    "run",
    epilog=examples(
        "nexus run etl  # the steps that are due",
        "nexus run etl report  # one step, and what it needs",
        "nexus run etl --force  # all of them",
        "nexus run tests --junit report.xml",
        exit_codes={
            0: "done",
            1: "an error, and nothing was done",
            3: "some failed; the same command continues",
            130: "interrupted",
        },
    ),
)
@click.argument("pipeline", shell_complete=completes(pipelines))
@click.argument("step", required=False, shell_complete=completes(steps))
@click.option("--force", is_flag=True, help="Run them even if nothing that they are made of has changed.")
@junit_option
@click.pass_obj
@guarded_stream
@run_options
def command(
    settings: Settings, run: RunOptions, pipeline: str, step: str | None, force: bool, junit: Path | None
) -> int:
    """Run the steps of PIPELINE that are due, or its one STEP, and first what they need.

    Steps with «on: manual» run only here. The plan, the question and the exit codes are those of apply. After a
    failure, the same command runs what failed, what was skipped because of it, and nothing else.
    """

    def options(project: AsyncProject) -> PlanOptions:
        return project.run_options(pipeline, step, force=force)

    return run_apply(settings, run, options, junit=junit)
