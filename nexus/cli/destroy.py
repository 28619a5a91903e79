"""``nexus destroy``: the same trip as apply, towards nothing."""

from __future__ import annotations

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.manual import examples
from nexus.cli.options import ADDRESS, RunOptions, allow_missing_option, run_options
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.command(
    "destroy",
    epilog=examples(
        "nexus destroy",
        "nexus destroy -e preview --auto-approve",
        "nexus destroy --target sandbox.web  # only this, and what needs it",
        exit_codes={
            0: "everything is gone",
            1: "an error, and nothing was done",
            3: "partly done; the next one continues",
            130: "interrupted",
        },
    ),
)
@click.option("--target", "targets", multiple=True, type=ADDRESS, help="Only this, and what depends on it.")
@click.option("--exclude", "excludes", multiple=True, type=ADDRESS, help="Not this, nor what it depends on.")
@allow_missing_option
@click.pass_obj
@guarded_stream
@run_options
def command(
    settings: Settings,
    run: RunOptions,
    targets: tuple[Address, ...],
    excludes: tuple[Address, ...],
    allow_missing: bool,
) -> int:
    """Delete everything that this project made: sandboxes, templates, volumes. Catalogue templates stay."""
    from nexus.api.plans import plan_options

    options = plan_options(targets, excludes, destroy=True, allow_missing=allow_missing)
    return run_apply(settings, run, options)
