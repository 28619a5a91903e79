"""``nexus promote``: builds of templates, from one environment to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.manual import examples
from nexus.cli.options import ADDRESS, RunOptions, promotion_options
from nexus.cli.plan import show_plan
from nexus.cli.running import at_target, load_project
from nexus.cli.settings import Settings
from nexus.model.addresses import Address

if TYPE_CHECKING:
    from nexus import PlanOptions


@click.command(
    "promote",
    epilog=examples(
        "nexus promote template.x --from dev --to prod",
        "nexus promote --from dev --to prod  # all templates",
        "nexus promote --from dev --to prod --out friday.plan",
        "nexus apply -e prod  # what is made from them follows",
        exit_codes={
            0: "done",
            1: "an error, and nothing was done",
            3: "partly done; the same again continues",
            130: "interrupted; the same again continues",
        },
    ),
)
@click.argument("templates", nargs=-1, type=ADDRESS, metavar="[ADDRESS]...")
@click.option("--out", type=click.Path(path_type=Path), help="Save the plan, for «nexus apply FILE», and do nothing.")
@click.pass_obj
@guarded_stream
@promotion_options
def command(settings: Settings, run: RunOptions, templates: tuple[Address, ...], source: str, out: Path | None) -> int:
    """Plan, ask, and give one environment the builds that templates have in another: no package is installed again.

    ADDRESS is a template, and brings those that it builds on; without one, all templates are promoted. What was tried
    is what runs: a build is named by a digest of all that went into it, and where the files ask for another one than
    --from has, it is said what differs, and nothing is done. Tags move to the build. The two environments stay
    independent: what is destroyed in one is still there in the other.
    """
    from nexus.api.plans import plan_options

    options = plan_options(templates, promote_from=source)
    if out is not None:
        return _save(settings, run, options, out)
    return run_apply(settings, run, options, planned_by="nexus promote")


def _save(settings: Settings, run: RunOptions, options: PlanOptions, out: Path) -> int:
    """Show what would be done, and keep it."""
    from nexus.api.plans import save_plan

    project = load_project(settings, run.environment, run.var_texts, run.var_files, local=run.local)
    plan = at_target(project, lambda project: project.plan(options=options), local=run.local, quiet=run.as_json)
    if not plan.is_denied:
        save_plan(plan, out)
    show_plan(settings, plan, as_json=run.as_json, verbose=run.verbose)
    if plan.is_denied:
        return 1
    if not run.as_json:
        click.echo(f"Saved to {out}. To do exactly this: nexus apply {out}")
    return 0
