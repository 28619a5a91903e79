"""``nexus graph``: a picture of the project, with what a plan does to it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import project_options, target_options
from nexus.cli.running import MAKING_THE_PLAN, at_target, load_planned, load_project
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncProject, Plan
    from nexus.api.pictures import PictureFormat

FORMATS = ("mermaid", "dot", "svg", "html")


@click.command(
    "graph",
    epilog=examples(
        "nexus graph --no-plan  # Mermaid, for Markdown",
        "nexus graph --format html --out plan.html  # an interactive page",
        "nexus graph --format dot | dot -Tpng -o plan.png",
        "nexus graph --plan friday.plan --format svg  # a saved plan",
    ),
)
@project_options
@target_options
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="mermaid", show_default=True, help="What to write."
)
@click.option("--plan", "planfile", type=click.Path(path_type=Path), help="Show what this saved plan would do.")
@click.option("--no-plan", is_flag=True, help="Show the graph alone; touches no network.")
@click.option("--destroy", is_flag=True, help="Show what deleting everything would do.")
@click.option("--out", type=click.Path(path_type=Path), help="Write to this file instead of stdout.")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    form: PictureFormat,
    planfile: Path | None,
    no_plan: bool,
    destroy: bool,
    out: Path | None,
) -> int:
    """Draw the graph of the project: who needs whom, what would happen to each, and the chain that takes longest.

    Plans first, unless --plan or --no-plan is given. mermaid is drawn by GitHub and GitLab in Markdown; dot is for
    Graphviz; html is one interactive page that works offline, with a timeline of the last run. No secret is ever in it.
    """
    if sum((planfile is not None, no_plan, destroy)) > 1:
        raise click.UsageError("--plan, --no-plan and --destroy exclude each other.")
    plan: Plan | None
    if planfile is not None:
        project, plan = _saved(settings, planfile, var_texts, var_files)
    else:
        project = load_project(settings, environment, var_texts, var_files, local=local)
        plan = None
        if not no_plan:
            plan = at_target(
                project,
                lambda project: project.plan(destroy=destroy),
                local=local,
                quiet=False,
                doing=MAKING_THE_PLAN,
            )
    write(asyncio.run(project.picture(form, plan)), out)
    return 0


def write(text: str, out: Path | None) -> None:
    """To a file, or to stdout. Raises DiagnosticsError when the file can't be written."""
    if out is None:
        click.echo(text, nl=False)
        return
    from nexus.model.diagnostics import DiagnosticsError, error

    try:
        out.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise DiagnosticsError(
            error(
                "file-unwritable",
                f"{out} can't be written",
                detail=str(problem.strerror or problem),
                hint="give the path of a file in a folder that exists and may be written to",
            )
        ) from problem


def _saved(
    settings: Settings, planfile: Path, var_texts: tuple[str, ...], var_files: tuple[Path, ...]
) -> tuple[AsyncProject, Plan]:
    """The plan of a file, and the project as it is with the values that the plan was made with."""
    from nexus.api.plans import read_plan

    if var_texts or var_files:
        raise click.UsageError("a saved plan has its own values, so --var and --var-file do not go with --plan.")
    plan = read_plan(planfile)
    return load_planned(settings, plan), plan
