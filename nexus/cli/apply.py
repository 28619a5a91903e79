"""``nexus apply``: make what is out there match the manifest."""

from __future__ import annotations

from pathlib import Path

import click

from nexus.cli.applying import run_apply
from nexus.cli.failures import guarded_stream
from nexus.cli.options import apply_options, json_option, project_options, selection_options, target_options
from nexus.cli.plan import plan_options
from nexus.cli.running import seconds
from nexus.cli.settings import Settings
from nexus.model.addresses import Address


@click.command("apply")
@click.argument("planfile", required=False, type=click.Path(path_type=Path))
@project_options
@target_options
@selection_options
@apply_options
@json_option("events, one a line,")
@click.pass_obj
@guarded_stream
def command(
    settings: Settings,
    planfile: Path | None,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    targets: tuple[Address, ...],
    excludes: tuple[Address, ...],
    replacements: tuple[Address, ...],
    no_refresh: bool,
    auto_approve: bool,
    parallelism: int,
    lock_timeout: str,
    as_json: bool,
    verbose: bool,
) -> int:
    """Plan, ask, and do it. With PLANFILE, do exactly what was saved, or refuse when it is not what would be done now.

    Exit code 3 when some of it failed: what is done is recorded, and the next apply continues. Ctrl-C finishes what is
    in flight; a second one cancels it.
    """
    return run_apply(
        settings,
        planfile=planfile,
        environment=environment,
        var_texts=var_texts,
        var_files=var_files,
        local=local,
        options=plan_options(targets, excludes, replacements, destroy=False, refresh=not no_refresh),
        auto_approve=auto_approve,
        parallelism=parallelism,
        lock_timeout=seconds(lock_timeout),
        as_json=as_json,
        verbose=verbose,
    )
