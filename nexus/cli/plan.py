"""``nexus plan``: what apply would do, and why."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import (
    json_option,
    project_options,
    sarif_option,
    selection_options,
    target_options,
    verbose_option,
)
from nexus.cli.reports import failures_as_sarif, write_sarif
from nexus.cli.running import MAKING_THE_PLAN, at_target, load_project, typed
from nexus.cli.settings import Settings

if TYPE_CHECKING:
    from nexus import AsyncProject, Plan, PlanOptions
    from nexus.render.summary import Typed

FORMATS = ("text", "json", "markdown", "html")


@click.command(
    "plan",
    epilog=examples(
        "nexus plan",
        "nexus plan -e prod --var replicas=4",
        "nexus plan --out friday.plan  # keep it, to apply just this",
        "nexus plan --target sandbox.web  # only this, and what it needs",
        "nexus plan --detailed-exitcode  # for scripts",
        "nexus plan --format markdown > plan.md  # for a pull request",
        exit_codes={
            0: "done; with --detailed-exitcode: nothing to change",
            1: "an error, or a plan that policies deny",
            2: "changes are pending (only with --detailed-exitcode)",
        },
    ),
)
@project_options
@target_options
@selection_options
@click.option("--destroy", is_flag=True, help="Plan to delete everything.")
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan, for «nexus apply FILE».")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for no changes, 2 for changes, 1 for errors.")
@verbose_option
@sarif_option
@json_option("the plan")
@click.option(
    "--format",
    "form",
    type=click.Choice(FORMATS),
    default="text",
    show_default=True,
    help="markdown fits a comment on a pull request; html is one interactive page that works offline.",
)
@click.pass_obj
def command(settings: Settings, /, form: str, as_json: bool, **given: Any) -> int:
    """Show what apply would do: each change with its cause, its fields, and the line it comes from.

    Then what the plan opens and what it costs. One that policies deny is shown, and neither saved nor applied.
    """
    if as_json and form not in ("text", "json"):
        raise click.UsageError(f"--json and --format {form} exclude each other.")
    return _command(settings, form="json" if as_json else form, as_json=as_json or form == "json", **given)


@guarded
def _command(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    options: PlanOptions,
    out: Path | None,
    detailed_exitcode: bool,
    form: str,
    as_json: bool,
    verbose: bool,
    sarif: Path | None,
) -> int:
    with failures_as_sarif(settings, sarif):
        project = load_project(settings, environment, var_texts, var_files, local=local)
        plan = at_target(
            project,
            lambda project: project.plan(options=options),
            local=local,
            quiet=as_json,
            doing=MAKING_THE_PLAN,
        )
    if sarif is not None:
        write_sarif(settings, plan.diagnostics, sarif)
    saved = None if plan.is_denied else out
    if saved is not None:
        from nexus.api.plans import save_plan

        save_plan(plan, saved)
    if form in ("text", "json"):
        show_plan(settings, plan, as_json=as_json, verbose=verbose)
    else:
        _show_document(settings, project, plan, form)
    if saved is not None and form == "text":
        click.echo(f"Saved to {saved}. To do exactly this: nexus apply {saved}")
    elif form == "text":
        _offer(settings, plan, typed(settings, environment, var_texts, var_files, local=local))
    if plan.is_denied:
        return 1
    return 2 if detailed_exitcode and not plan.is_empty else 0


def _offer(settings: Settings, plan: Plan, around: Typed) -> None:
    """Tell people, and no programs, what to type next."""
    from nexus.render.summary import offer_text

    console = settings.console()
    if console.is_terminal and (text := offer_text(plan, around)):
        console.print(text)


def _show_document(settings: Settings, project: AsyncProject, plan: Plan, form: str) -> None:
    """The plan as a document on stdout; what there is to say besides on stderr, too."""
    from nexus.render.markdown import plan_markdown

    show_diagnostics(settings, plan.diagnostics)
    picture = asyncio.run(project.picture("html" if form == "html" else "mermaid", plan))
    click.echo(picture if form == "html" else plan_markdown(plan, picture), nl=False)


def show_plan(settings: Settings, plan: Plan, *, as_json: bool, verbose: bool = False) -> None:
    """The plan on stdout; what there is to say besides on stderr."""
    if as_json:
        from nexus.render.documents import plan_to_json

        click.echo(json.dumps(plan_to_json(plan), indent=2, ensure_ascii=False))
        return
    from nexus.render.plan import print_plan

    show_diagnostics(settings, plan.diagnostics)
    print_plan(settings.console(), plan, verbose=verbose)
