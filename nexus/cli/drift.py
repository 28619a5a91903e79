"""``nexus drift``: what is out there, held against what was applied."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import allow_missing_option, json_option, project_options, target_options
from nexus.cli.running import at_target, load_project, typed
from nexus.cli.settings import Settings


@click.command(
    "drift",
    epilog=examples(
        "nexus drift",
        "nexus drift --shallow  # hundreds of sandboxes, few requests",
        "nexus drift --detailed-exitcode  # for a nightly check",
        exit_codes={
            0: "looked; with --detailed-exitcode: no drift",
            1: "an error",
            2: "there is drift (only with --detailed-exitcode)",
        },
    ),
)
@project_options
@target_options
@click.option("--shallow", is_flag=True, help="Do not look into sandboxes: one request for every hundred of them.")
@allow_missing_option
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 0 for no drift, 2 for drift, 1 for errors.")
@json_option("what was found")
@click.pass_obj
@guarded
def command(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    local: bool,
    shallow: bool,
    allow_missing: bool,
    detailed_exitcode: bool,
    as_json: bool,
) -> int:
    """Show what is not as it was applied: expired, gone, paused, changed from outside, edited inside. Changes nothing.

    Looks into every running sandbox: files, packages and their versions, variables, commands that were run, processes.
    """
    project = load_project(settings, environment, var_texts, var_files, local=local)
    report = at_target(
        project,
        lambda project: project.drift(deep=not shallow, allow_missing=allow_missing),
        local=local,
        quiet=as_json,
        doing="Looking at the sandboxes" if shallow else "Looking into the sandboxes",
    )
    if as_json:
        from nexus.render.drift import drift_to_json

        click.echo(json.dumps(drift_to_json(report), indent=2, ensure_ascii=False))
    else:
        from nexus.render.drift import print_drift

        show_diagnostics(settings, report.diagnostics)
        around = typed(settings, environment, var_texts, var_files, local=local)
        look = around.line("plan", "--deep", *around.in_environment(), values=True)
        print_drift(settings.console(), report, look=look)
    return 2 if detailed_exitcode and report.has_drift else 0
