"""``nexus destroy``: the same trip as apply, towards nothing."""

from __future__ import annotations

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.options import ADDRESS, RunOptions, run_options
from nexus.cli.plan import plan_options
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.command("destroy")
@click.option("--target", "targets", multiple=True, type=ADDRESS, help="Only this, and what depends on it.")
@click.option("--exclude", "excludes", multiple=True, type=ADDRESS, help="Not this, nor what it depends on.")
@click.pass_obj
@guarded_stream
@run_options
def command(settings: Settings, run: RunOptions, targets: tuple[Address, ...], excludes: tuple[Address, ...]) -> int:
    """Delete everything that this project made: sandboxes, templates, volumes. Catalogue templates stay."""
    return run_apply(settings, run, plan_options(targets, excludes, (), destroy=True, refresh=True))
