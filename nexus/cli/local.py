"""``nexus local …``: the local engine, which is a service of its own."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from nexus.cli.engine import engine_home as _home
from nexus.cli.engine import explained as _explained
from nexus.cli.failures import guarded
from nexus.cli.local_control import FILE, faults, read_faults, read_limits
from nexus.cli.manual import examples
from nexus.cli.options import json_option
from nexus.cli.settings import Settings
from nexus.cli.waiting import STARTING_ENGINE, waiting


@click.group("local", no_args_is_help=True)
def command() -> None:
    """The local engine: E2B's API over real isolated machines on this one.

    It starts by itself when a project needs it. Sandboxes outlive the engine's process.
    """


command.add_command(faults)


@command.command(
    "start",
    epilog=examples(
        "nexus local start",
        "nexus local start --limits hobby  # what E2B's free tier allows",
        "nexus local start --faults faults.yaml  # fail on purpose",
    ),
)
@click.option("--limits", metavar="TIER|FILE", help="Limits of E2B's tier hobby or pro, of a file, or none.")
@click.option("--faults", "faults_file", type=FILE, metavar="FILE", help="Let requests fail, by these rules.")
@click.option(
    "--isolation",
    metavar="TIER",
    help="Isolate sandboxes this way, now and at later starts; «auto» takes the best again. «nexus local doctor --all» "
    "lists the ways.",
)
@click.pass_obj
@guarded
@_explained
def start(settings: Settings, limits: str | None, faults_file: Path | None, isolation: str | None) -> int:
    """Start the engine, if it does not run."""
    from nexus.local import daemon

    home = _home(settings)
    wanted_limits = None if limits is None else read_limits(limits)
    wanted_faults = None if faults_file is None else read_faults(faults_file)
    with waiting(settings, STARTING_ENGINE, is_local=False):
        endpoint = daemon.ensure_running(home, isolation=isolation, limits=wanted_limits, faults=wanted_faults)
    _warn_of_weak_isolation(home)
    click.echo(f"The local engine {endpoint.engine_id} runs at {endpoint.api_url} (process {endpoint.pid})")
    click.echo('To use it from any E2B client: eval "$(nexus local env)"')
    return 0


def _warn_of_weak_isolation(home: Path) -> None:
    from nexus.local import daemon

    found = daemon.status(home) or {}
    lacks = found.get("lacks")
    if isinstance(lacks, list) and lacks:
        click.echo(f"Warning: the isolation «{found.get('tier')}» was asked for, which lacks:", err=True)
        for sentence in lacks:
            click.echo(f"  - {sentence}", err=True)


@command.command(
    "stop",
    epilog=examples(
        "nexus local stop  # sandboxes go on",
        "nexus local stop --kill-sandboxes",
    ),
)
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


@command.command(
    "status",
    epilog=examples(
        "nexus local status",
        exit_codes={0: "it runs", 1: "it does not run"},
    ),
)
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


@command.command(
    "logs",
    epilog=examples(
        "nexus local logs -n 20",
        "nexus local logs -f",
    ),
)
@click.option("-n", "--lines", type=click.IntRange(1), default=100, show_default=True, help="How many lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what it says from now, until Ctrl-C.")
@click.pass_obj
@guarded
@_explained
def logs(settings: Settings, lines: int, follow: bool) -> int:
    """Show what the engine said last."""
    from nexus.local import daemon

    if follow:
        for line in daemon.follow_logs(_home(settings), lines):
            click.echo(line)
    said = daemon.logs(_home(settings), lines)
    for line in said:
        click.echo(line)
    if not said:
        click.echo("The local engine has said nothing yet.", err=True)
    return 0


@command.command(
    "env",
    epilog=examples(
        'eval "$(nexus local env)"  # for E2B\'s SDK and CLI in this shell',
    ),
)
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


@command.command(
    "doctor",
    short_help="Say how well this machine can isolate sandboxes.",
    epilog=examples(
        "nexus local doctor",
        "nexus local doctor --all --json",
        exit_codes={0: "sandboxes can be isolated", 1: "they can't; a remedy is printed"},
    ),
)
@click.option("--all", "every", is_flag=True, help="Try every way to isolate sandboxes, not only the best.")
@json_option("the findings")
@click.pass_obj
@guarded
@_explained
def doctor(settings: Settings, every: bool, as_json: bool) -> int:
    """Say how well this machine can isolate sandboxes, and the command that mends what it can't."""
    from nexus.cli.doctor import engine_findings, tell

    return tell(settings, engine_findings(_home(settings), every=every), "local", as_json=as_json)


@command.command(
    "prune",
    short_help="Free the disk of what nothing needs.",
    epilog=examples(
        "nexus local prune",
    ),
)
@json_option("what was freed")
@click.pass_obj
@guarded
@_explained
def prune(settings: Settings, as_json: bool) -> int:
    """Free the disk of what nothing needs: layers and build contexts that were kept to make later builds faster."""
    from nexus.local import daemon
    from nexus.render.values import size

    answer = daemon.control(_home(settings), "POST", "/nexus/prune")
    freed = answer.get("freedBytes", 0) if isinstance(answer, dict) else 0
    if as_json:
        click.echo(json.dumps({"format_version": 1, "freedBytes": freed}, indent=2))
    else:
        click.echo(f"{size(freed)} were freed.")
    return 0


@command.command(
    "reset",
    short_help="End the engine and remove all that it kept.",
    epilog=examples(
        "nexus local reset",
        "nexus local reset --auto-approve  # in scripts",
    ),
)
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
