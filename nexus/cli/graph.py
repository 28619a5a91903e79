"""``nexus graph``: a picture of the project, with what a plan does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.failures import guarded
from nexus.cli.options import project_options, target_options
from nexus.cli.running import in_session, load_project
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus.model.changes import Plan
    from nexus.render.pictures import Picture
    from nexus.workflows.loading import Project
    from nexus.workflows.session import Session

FORMATS = ("mermaid", "dot", "svg", "html")


@click.command("graph")
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
    form: str,
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
        project = load_project(settings, environment, var_texts, var_files)
        plan = None if no_plan else _fresh(settings, project, local=local, destroy=destroy)
    write(picture_text(form, project, plan), out)
    return 0


def picture_text(form: str, project: Project, plan: Plan | None) -> str:
    """The project's picture in one of the formats."""
    from nexus.render import pictures

    if form == "html":
        return page_text(project, plan)
    writers: dict[str, Callable[[Picture], str]] = {
        "mermaid": pictures.mermaid,
        "dot": pictures.dot,
        "svg": pictures.svg,
    }
    return writers[form](picture_of(project, plan))


def page_text(project: Project, plan: Plan | None) -> str:
    """The interactive page: the picture, and the last run along its time."""
    from nexus.render import pictures
    from nexus.workflows.outputs import backend_of
    from nexus.workflows.runs import newest_run

    run = asyncio.run(newest_run(backend_of(project.root, project.environment)))
    return pictures.page(picture_of(project, plan), run)


def picture_of(project: Project, plan: Plan | None) -> Picture:
    """What there is to draw. How long operations take is taken from earlier runs, where there were some."""
    from nexus.render.pictures import draw
    from nexus.workflows.estimating import read_estimate
    from nexus.workflows.outputs import backend_of

    estimate = asyncio.run(read_estimate(backend_of(project.root, project.environment)))
    return draw(project.name, project.environment, project.desired, plan, estimate)


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


def _fresh(settings: Settings, project: Project, *, local: bool, destroy: bool) -> Plan:
    from nexus.model.changes import PlanOptions
    from nexus.workflows import planning

    async def work(session: Session) -> Plan:
        return (await planning.plan(project, session, PlanOptions(destroy=destroy))).plan

    return in_session(settings, project, local=local, quiet=False, work=work)


def _saved(
    settings: Settings, planfile: Path, var_texts: tuple[str, ...], var_files: tuple[Path, ...]
) -> tuple[Project, Plan]:
    """The plan of a file, and the project as it is with the values that the plan was made with."""
    from nexus.workflows.planning import read_saved

    if var_texts or var_files:
        raise click.UsageError("a saved plan has its own values, so --var and --var-file do not go with --plan.")
    saved = read_saved(planfile if planfile.is_absolute() else Path.cwd() / planfile)
    return load_project(settings, saved.plan.environment, (), (), saved=saved), saved.plan
