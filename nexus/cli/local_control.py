"""``nexus local faults …`` and the files behind ``nexus local start --faults`` and ``--limits``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import click

from nexus.cli.engine import engine_home, explained
from nexus.cli.failures import guarded
from nexus.cli.manual import examples
from nexus.cli.options import json_option
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

FILE = click.Path(dir_okay=False, path_type=Path)
NO_LIMITS = "none"


def read_faults(path: Path) -> object:
    """The rules of a file, checked. Raises DiagnosticsError with their places."""
    from nexus.local.faults.documents import FaultsError, parse_faults

    document = _Document(path)
    try:
        parse_faults(document.value)
    except FaultsError as problem:
        raise document.refused("faults-invalid", "These are no faults", problem.where, problem.problem) from None
    return document.value


def read_limits(text: str) -> object:
    """What ``--limits`` means: the name of a tier, ``none``, or a file. Raises DiagnosticsError."""
    from nexus.local.limits.documents import LimitsError, parse_limits
    from nexus.local.limits.model import TIERS

    if text == NO_LIMITS:
        return {}
    if text in TIERS:
        return text
    if not Path(text).is_file():
        raise DiagnosticsError(
            error(
                "limits-unknown",
                f"There are no limits called «{text}», and there is no such file",
                hint=f"the names are {', '.join((*TIERS, NO_LIMITS))}",
            )
        )
    document = _Document(Path(text))
    try:
        parse_limits(document.value)
    except LimitsError as problem:
        raise document.refused("limits-invalid", "These are no limits", problem.where, problem.problem) from None
    return document.value


class _Document:
    """A YAML or JSON file and its places."""

    def __init__(self, path: Path) -> None:
        from nexus.manifest.source_map import SourceMap
        from nexus.manifest.yaml_reader import read_yaml

        try:
            document = read_yaml(path.read_bytes(), str(path))
        except OSError as problem:
            raise DiagnosticsError(
                error("file-unreadable", f"«{path}» can't be read", detail=problem.strerror or str(problem))
            ) from problem
        if document.diagnostics:
            raise DiagnosticsError(document.diagnostics)
        self.value: object = document.value
        self._places = SourceMap(document.spot)

    def refused(self, code: str, summary: str, where: tuple[str | int, ...], problem: str) -> DiagnosticsError:
        name = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in where).lstrip(".")
        detail = f"{name}: {problem}" if name else problem
        return DiagnosticsError(error(code, summary, detail=detail, range=self._places(where)))


@click.group("faults", no_args_is_help=True, short_help="Let requests fail on purpose.")
def faults() -> None:
    """Failures on purpose: let some requests fail, to see what your program makes of it.

    They hold until they are cleared or the engine's process ends.
    """


@faults.command(
    "set",
    epilog=examples(
        "nexus local faults set faults.yaml",
    ),
)
@click.argument("file", type=FILE)
@click.pass_obj
@guarded
@explained
def set_faults(settings: Settings, file: Path) -> int:
    """Replace the faults by those of FILE, in YAML or JSON. Starts the engine if needed."""
    from nexus.local import daemon

    rules = read_faults(file)
    daemon.ensure_running(engine_home(settings), faults=rules)
    click.echo("The faults are set. «nexus local faults clear» ends them.")
    return 0


@faults.command(
    "clear",
    epilog=examples(
        "nexus local faults clear",
    ),
)
@click.pass_obj
@guarded
@explained
def clear(settings: Settings) -> int:
    """End all faults."""
    from nexus.local import daemon

    if daemon.find_running(engine_home(settings)) is not None:
        daemon.control(engine_home(settings), "DELETE", "/nexus/faults")
    click.echo("There are no faults any more.")
    return 0


@faults.command(
    "show",
    short_help="Show the faults, and how often each has struck.",
    epilog=examples(
        "nexus local faults show --json",
    ),
)
@json_option("the faults")
@click.pass_obj
@guarded
@explained
def show(settings: Settings, as_json: bool) -> int:
    """Show the faults of the running engine, and how often each has struck."""
    from nexus.local import daemon

    found = daemon.control(engine_home(settings), "GET", "/nexus/faults")
    document = found if isinstance(found, dict) else {}
    if as_json:
        click.echo(json.dumps({"format_version": 1, **document}, indent=2))
        return 0
    rules = document.get("rules", [])
    for rule in rules:
        click.echo(_line(rule))
    if not rules:
        click.echo("There are no faults.")
    return 0


def _line(rule: Mapping[str, object]) -> str:
    """``api POST ^/sandboxes: status 503 — struck 1 of 4``."""
    status = f" {rule['status']}" if "status" in rule else ""
    path = rule["path"] or "any path"
    head = f"{rule['on']} {rule['method']} {path}: {rule['action']}{status}"
    return f"{head} — struck {rule['struck']} of {rule['matched']}"
