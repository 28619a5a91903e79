"""``nexus destroy``: the same trip as apply, towards nothing."""

from __future__ import annotations

from pathlib import Path

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.options import ADDRESS, apply_options, json_option, project_options, target_options
from nexus.cli.plan import plan_options
from nexus.cli.running import seconds
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.command("destroy")
@project_options
@target_options
@click.option("--target", "targets", multiple=True, type=ADDRESS, help="Only this, and what depends on it.")
@click.option("--exclude", "excludes", multiple=True, type=ADDRESS, help="Not this, nor what it depends on.")
@apply_options
@json_option("events, one a line,")
@click.pass_obj
@guarded_stream
def command(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    targets: tuple[Address, ...],
    excludes: tuple[Address, ...],
    auto_approve: bool,
    parallelism: int,
    lock_timeout: str,
    as_json: bool,
    verbose: bool,
) -> int:
    """Delete everything that this project made: sandboxes, templates, volumes. Catalogue templates stay."""
    return run_apply(
        settings,
        planfile=None,
        environment=environment,
        var_texts=var_texts,
        var_files=var_files,
        local=local,
        options=plan_options(targets, excludes, (), destroy=True, refresh=True),
        auto_approve=auto_approve,
        parallelism=parallelism,
        lock_timeout=seconds(lock_timeout),
        as_json=as_json,
        verbose=verbose,
    )
