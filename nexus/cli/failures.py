"""How a command ends badly: diagnostics for what a user can mend, a log file for what only we can."""

from __future__ import annotations

import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec

import click

from nexus.cli.settings import Settings
from nexus.model.diagnostics import Diagnostic, DiagnosticsError

P = ParamSpec("P")


def guarded(function: Callable[P, int]) -> Callable[P, int]:
    """Turn DiagnosticsError of a command into its messages and exit code 1.

    The command takes Settings first. Where it has ``as_json`` set, the messages are one JSON document on stdout.
    """
    return _guarded(function, lambda diagnostics: click.echo(_document(diagnostics)))


def guarded_stream(function: Callable[P, int]) -> Callable[P, int]:
    """The same for commands whose JSON is one event a line: then messages are such lines too."""
    return _guarded(function, print_events)


def _guarded(function: Callable[P, int], as_json: Callable[[Sequence[Diagnostic]], None]) -> Callable[P, int]:
    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        settings = Settings.of_this_command()
        try:
            return function(*args, **kwargs)
        except DiagnosticsError as error:
            if kwargs.get("as_json"):
                as_json(error.diagnostics)
            else:
                show_diagnostics(settings, error.diagnostics)
            return 1

    return wrapper


def _document(diagnostics: Sequence[Diagnostic]) -> str:
    from nexus.render.documents import failure_to_json

    return json.dumps(failure_to_json(diagnostics), indent=2, ensure_ascii=False)


def print_events(diagnostics: Sequence[Diagnostic]) -> None:
    """Each as an event, one a line, on stdout."""
    from nexus.model.events import DiagnosticRaised
    from nexus.render.documents import event_to_json

    for diagnostic in diagnostics:
        event = event_to_json(DiagnosticRaised(diagnostic=diagnostic), datetime.now(UTC))
        click.echo(json.dumps(event, ensure_ascii=False))


def show_diagnostics(settings: Settings, diagnostics: Sequence[Diagnostic]) -> None:
    """Errors and warnings for people, on stderr, with the lines they speak of."""
    from nexus.render.diagnostics import print_diagnostics

    print_diagnostics(settings.console(stderr=True), diagnostics, source_reader(settings.folder))


def source_reader(folder: Path) -> Callable[[str], Sequence[str] | None]:
    """Reads lines of the project's files for messages; None where that can't be done."""

    @functools.cache
    def root() -> Path:
        return project_root(folder)

    @functools.cache
    def read(name: str) -> Sequence[str] | None:
        try:
            return (root() / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            return None

    return read


def project_root(folder: Path) -> Path:
    """The folder that places in the project of ``folder`` are relative to; itself where there is no project."""
    from nexus.manifest import find_project

    try:
        return find_project(folder).parent
    except DiagnosticsError:
        return folder


def report(error: Exception) -> int:
    """A fault of nexus itself: one message, and the place of a log without any values in it."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    text = f"{datetime.now(UTC).isoformat()}\n{type(error).__module__}.{type(error).__qualname__}\n{frames}"
    place = _write_log(text)
    click.echo(f"error[bug]: This is a bug in nexus ({type(error).__name__}).", err=True)
    click.echo(f"  What is needed to mend it was written to {place}", err=True)
    click.echo("  hint: nothing that was done is lost; running the command again is safe", err=True)
    if os.environ.get("NEXUS_DEBUG"):
        traceback.print_exception(error, file=sys.stderr)
    return 1


def _write_log(text: str) -> str:
    from nexus.api.machine import home

    path = home() / "logs" / f"crash-{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}.log"
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return "nowhere: its folder can't be written"
    return str(path)
