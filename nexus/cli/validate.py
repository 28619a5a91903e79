"""``nexus validate``: every error of a manifest at once, with its place, and no network."""

from __future__ import annotations

import json
from pathlib import Path

import click

from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.manual import examples
from nexus.cli.options import json_option, project_options, sarif_option
from nexus.cli.reports import write_sarif
from nexus.cli.running import load_project
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError


@click.command(
    "validate",
    epilog=examples(
        "nexus validate",
        "nexus validate -e prod --json  # findings for a program",
        exit_codes={0: "no errors; there may be warnings", 1: "something is wrong"},
    ),
)
@project_options
@json_option("the findings")
@sarif_option
@click.pass_obj
@guarded
def command(
    settings: Settings,
    environment: str,
    var_texts: tuple[str, ...],
    var_files: tuple[Path, ...],
    as_json: bool,
    sarif: Path | None,
) -> int:
    """Check the manifest: its text, its fields, its references. Exit code 1 when something is wrong."""
    try:
        project = load_project(settings, environment, var_texts, var_files)
        valid, diagnostics, count = True, project.warnings, project.object_count
    except DiagnosticsError as problem:
        valid, diagnostics, count = False, problem.diagnostics, 0
    if sarif is not None:
        write_sarif(settings, diagnostics, sarif)
    if as_json:
        from nexus.render.documents import validation_to_json

        click.echo(json.dumps(validation_to_json(diagnostics, valid=valid), indent=2, ensure_ascii=False))
        return 0 if valid else 1
    show_diagnostics(settings, diagnostics)
    if valid:
        click.echo(f"The manifest is valid: {count} {'resource' if count == 1 else 'resources'}.")
    return 0 if valid else 1
