"""``nexus local …``: the local engine, which is a service of its own."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec

import click

from nexus.cli.failures import guarded
from nexus.cli.options import json_option
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

P = ParamSpec("P")


def _home(settings: Settings) -> Path:
    from nexus.wiring import home

    return home(settings.environment)


def _explained(function: Callable[P, int]) -> Callable[P, int]:
    """Failures of the engine as diagnostics."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> int:
        from nexus.local.daemon import DaemonError
        from nexus.local.settings import SettingsError

        try:
            return function(*args, **kwargs)
        except (DaemonError, SettingsError, OSError) as problem:
            raise DiagnosticsError(
                error(
                    "engine-unavailable",
                    "The local engine can't do this",
                    detail=str(problem),
                    hint="«nexus local doctor» says what is missing; «nexus local logs» what the engine said",
                )
            ) from problem

    return wrapper


@click.group("local", no_args_is_help=True)
def command() -> None:
    """The local engine: E2B's API over real isolated machines on this one.

    It starts by itself when a project needs it. Sandboxes outlive the engine's process.
    """


@command.command("start")
@click.pass_obj
@guarded
@_explained
def start(settings: Settings) -> int:
    """Start the engine, if it does not run."""
    from nexus.local import daemon

    endpoint = daemon.ensure_running(_home(settings))
    click.echo(f"The local engine {endpoint.engine_id} runs at {endpoint.api_url} (process {endpoint.pid})")
    click.echo('To use it from any E2B client: eval "$(nexus local env)"')
    return 0


@command.command("stop")
@click.option("--kill-sandboxes", is_flag=True, help="End the sandboxes too.")
@click.pass_obj
@guarded
@_explained
def stop(settings: Settings, kill_sandboxes: bool) -> int:
    """Stop the engine. Sandboxes go on unless they are to be killed; the next start takes them over."""
    from nexus.local import daemon

    stopped = daemon.stop(_home(settings), kill_sandboxes=kill_sandboxes)
    click.echo("The local engine has stopped." if stopped else "The local engine was not running.")
    return 0


@command.command("status")
@json_option("the status")
@click.pass_obj
@guarded
@_explained
def status(settings: Settings, as_json: bool) -> int:
    """Show whether the engine runs, and what it holds. Exit code 1 when it does not run."""
    from nexus.local import daemon

    found = daemon.status(_home(settings))
    if as_json:
        click.echo(json.dumps({"format_version": 1, "running": found is not None, **(found or {})}, indent=2))
    elif found is None:
        click.echo("The local engine is not running. It starts by itself when it is needed.")
    else:
        from nexus.render.engine import print_status

        print_status(settings.console(), found)
    return 0 if found is not None else 1


@command.command("logs")
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True, help="How many lines.")
@click.pass_obj
@guarded
@_explained
def logs(settings: Settings, lines: int) -> int:
    """Show what the engine said last."""
    from nexus.local import daemon

    said = daemon.logs(_home(settings), lines)
    for line in said:
        click.echo(line)
    if not said:
        click.echo("The local engine has said nothing yet.", err=True)
    return 0


@command.command("env")
@click.pass_obj
@guarded
@_explained
def env(settings: Settings) -> int:
    """Print the variables that point any E2B client at the engine. Starts it if needed."""
    from nexus.local import daemon

    home = _home(settings)
    daemon.ensure_running(home)
    for name, value in daemon.client_environment(home, settings.environment).items():
        click.echo(f"export {name}={shlex.quote(value)}")
    return 0


@command.command("doctor", short_help="Say how well this machine can isolate sandboxes.")
@click.option("--all", "every", is_flag=True, help="Try every way to isolate sandboxes, not only the best.")
@json_option("the findings")
@click.pass_obj
@guarded
@_explained
def doctor(settings: Settings, every: bool, as_json: bool) -> int:
    """Say how well this machine can isolate sandboxes, and the command that mends what it can't."""
    from nexus.cli.doctor import engine_findings, tell

    return tell(settings, engine_findings(_home(settings), every=every), "local", as_json=as_json)


@command.command("reset", short_help="End the engine and remove all that it kept.")
@click.option("-y", "--auto-approve", is_flag=True, help="Do not ask.")
@click.pass_obj
@guarded
@_explained
def reset(settings: Settings, auto_approve: bool) -> int:
    """End the engine, all its sandboxes, templates and volumes, and remove what it kept."""
    from nexus.local import daemon

    question = f"This ends every local sandbox and removes {_home(settings)}. Go on?"
    if not auto_approve and not click.confirm(question):
        return 1
    done = daemon.reset(_home(settings))
    click.echo("The local engine was reset." if done else "There is no local engine to reset.")
    return 0
