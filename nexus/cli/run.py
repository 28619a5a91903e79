"""``nexus run``: the steps of a pipeline, with what they need and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.options import apply_options, json_option, project_options, target_options
from nexus.cli.running import seconds
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.model.changes import PlanOptions
    from nexus.workflows.loading import Project


@click.command("run")
@click.argument("pipeline")
@click.argument("step", required=False)
@click.option("--force", is_flag=True, help="Run them even if nothing that they are made of has changed.")
@project_options
@target_options
@apply_options
@json_option("events, one a line,")
@click.pass_obj
@guarded_stream
def command(
    settings: Settings,
    pipeline: str,
    step: str | None,
    force: bool,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    auto_approve: bool,
    parallelism: int,
    lock_timeout: str,
    as_json: bool,
    verbose: bool,
) -> int:
    """Run the steps of PIPELINE that are due, or its one STEP, and first what they need.

    Steps with «on: manual» run only here. The plan, the question and the exit codes are those of apply.
    """

    def options(project: Project) -> PlanOptions:
        from nexus.model.changes import PlanOptions
        from nexus.workflows.pipelines import steps_of

        steps = steps_of(project, pipeline, step)
        return PlanOptions(targets=steps, run=steps, replace=steps if force else ())

    return run_apply(
        settings,
        planfile=None,
        environment=environment,
        var_texts=var_texts,
        var_files=var_files,
        local=local,
        options=options,
        auto_approve=auto_approve,
        parallelism=parallelism,
        lock_timeout=seconds(lock_timeout),
        as_json=as_json,
        verbose=verbose,
    )
