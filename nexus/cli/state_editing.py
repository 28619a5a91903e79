"""``nexus state mv``, ``rm``, ``pull``, ``push`` and ``unlock``: what is remembered, and nothing out there."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from nexus.cli.applying import confirm
from nexus.cli.failures import guarded, show_diagnostics
from nexus.cli.live import folder_of
from nexus.cli.manual import examples
from nexus.cli.options import ADDRESS, environment_option, json_option, lock_timeout_option, yes_option
from nexus.cli.running import seconds
from nexus.cli.settings import Settings
from nexus.model.addresses import Address

if TYPE_CHECKING:
    from nexus import Edited


@click.command(
    "mv",
    epilog=examples(
        "nexus state mv sandbox.web sandbox.site  # a block was renamed",
        "nexus state mv 'sandbox.worker[0]' 'sandbox.worker[first]'",
    ),
)
@click.argument("source", type=ADDRESS)
@click.argument("destination", type=ADDRESS)
@environment_option
@lock_timeout_option
@json_option("what was moved")
@click.pass_obj
@guarded
def move(
    settings: Settings, source: Address, destination: Address, environment: str, lock_timeout: str, as_json: bool
) -> int:
    """Remember SOURCE as DESTINATION, as after a block was renamed. An address without a key moves all instances.

    A «moved» section in the manifest does the same at the next apply, for everybody who applies it. The marks of a
    sandbox still name SOURCE: «nexus state rebuild» knows of the move from the state that there was, and where that is
    lost, only from «moved».
    """
    folder = folder_of(settings, environment)
    edited = asyncio.run(folder.move(source, destination, lock_timeout=seconds(lock_timeout)))
    show_diagnostics(settings, edited.diagnostics)
    if as_json:
        _print(edited, moved=[{"from": str(old), "to": str(new)} for old, new in edited.moves])
    for old, new in () if as_json else edited.moves:
        click.echo(f"{old} → {new}")
    return 0


@click.command(
    "rm",
    epilog=examples(
        "nexus state rm sandbox.web  # it lives on, and is no longer nexus'",
    ),
)
@click.argument("addresses", type=ADDRESS, nargs=-1, required=True, metavar="ADDRESS...")
@environment_option
@lock_timeout_option
@yes_option
@json_option("what was forgotten")
@click.pass_obj
@guarded
def remove(
    settings: Settings,
    addresses: tuple[Address, ...],
    environment: str,
    lock_timeout: str,
    yes: bool,
    as_json: bool,
) -> int:
    """Forget resources without destroying them. An address without a key means all instances of its block.

    A sandbox still bears its marks afterwards: «nexus state rebuild» would find it again.
    """
    folder, confirm = folder_of(settings, environment), asking(yes=yes, as_json=as_json)
    edited = asyncio.run(folder.forget(*addresses, confirm=confirm, lock_timeout=seconds(lock_timeout)))
    show_diagnostics(settings, edited.diagnostics)
    if not edited.done:
        return not_approved()
    if as_json:
        _print(edited, removed=[{"address": str(item.address), "id": item.id} for item in edited.removed])
    for item in () if as_json else edited.removed:
        click.echo(f"Forgotten: {item.address} ({item.id})")
    return 0


@click.command(
    "pull",
    short_help="Print the state as a file.",
    epilog=examples(
        "nexus state pull > state.json  # a copy to keep or to look at",
    ),
)
@click.option("--serial", type=click.IntRange(1), metavar="N", help="An older one: see nexus state versions.")
@environment_option
@click.pass_obj
@guarded
def pull(settings: Settings, serial: int | None, environment: str) -> int:
    """Print the state as a file, with what an interrupted run has left in the journal taken in."""
    sys.stdout.write(asyncio.run(folder_of(settings, environment).pull(serial)).decode())
    return 0


@click.command(
    "push",
    epilog=examples(
        "nexus state push state.json",
        "nexus state push --force state.json  # an older one, or of another lineage",
    ),
)
@click.argument("file", type=click.Path(path_type=Path, allow_dash=True))
@click.option("--force", is_flag=True, help="Whatever lineage and serial it has, and whatever is there.")
@environment_option
@lock_timeout_option
@yes_option
@json_option("the written state's serial")
@click.pass_obj
@guarded
def push(
    settings: Settings, file: Path, force: bool, environment: str, lock_timeout: str, yes: bool, as_json: bool
) -> int:
    """Put FILE («-» for standard input) in place of the state. The one before stays beside it as a backup.

    A file of another lineage, or older than what is there, is refused.
    """
    pushing = folder_of(settings, environment).push(
        _read(file),
        name=str(file),
        force=force,
        # With the file on standard input there is nobody left to answer.
        confirm=asking(yes=yes or str(file) == "-", as_json=as_json),
        lock_timeout=seconds(lock_timeout),
    )
    edited = asyncio.run(pushing)
    show_diagnostics(settings, edited.diagnostics)
    if not edited.done:
        return not_approved()
    if as_json:
        _print(edited)
    else:
        click.echo(f"The state has the serial {edited.state.serial} and {len(edited.state.resources)} resources.")
    return 0


@click.command(
    "unlock",
    short_help="Break the lock of a run that hangs.",
    epilog=examples(
        "nexus state unlock 8f2c41d09b7e  # the id that the refused command named",
        "nexus state unlock --force  # whatever lock there is",
    ),
)
@click.argument("lock_id", required=False)
@click.option("--force", is_flag=True, help="Whoever holds it.")
@environment_option
@yes_option
@json_option("whose lock it was")
@click.pass_obj
@guarded
def unlock(settings: Settings, lock_id: str | None, force: bool, environment: str, yes: bool, as_json: bool) -> int:
    """Break the lock LOCK_ID (the refused command names it), or with --force whatever lock there is.

    A lock ends with the process that holds it, so this is for one that hangs. A run that lost its lock begins nothing
    new, and does not write the state.
    """
    if (lock_id is None) is not force:
        raise click.UsageError("Say which: either LOCK_ID or --force.")
    if force and not asking(yes=yes, as_json=as_json)("Break the lock, whoever holds it?"):
        return not_approved()
    info = asyncio.run(folder_of(settings, environment).unlock(lock_id))
    if as_json:
        broken = None if info is None else {"id": info.id, "holder": info.holder, "pid": info.pid, "since": info.since}
        click.echo(json.dumps({"format_version": 1, "unlocked": broken}, indent=2, ensure_ascii=False))
    elif info is None:
        click.echo("The state was not locked.")
    else:
        click.echo(f"Unlocked: {info.holder} (process {info.pid}) held it since {info.since}.")
    return 0


def asking(*, yes: bool, as_json: bool) -> Callable[[str], bool]:
    """Asks on a terminal; elsewhere, and where it was answered beforehand, the answer is yes."""

    def ask(question: str) -> bool:
        return yes or as_json or not sys.stdin.isatty() or confirm(question)

    return ask


def not_approved() -> int:
    click.echo("Not approved: nothing was done.", err=True)
    return 1


def _read(path: Path) -> bytes:
    from nexus.model.diagnostics import DiagnosticsError, error

    if str(path) == "-":
        return sys.stdin.buffer.read()
    try:
        return path.read_bytes()
    except OSError as problem:
        raise DiagnosticsError(
            error("state-unreadable", f"{path} can't be read", detail=problem.strerror or str(problem))
        ) from problem


def _print(edited: Edited, **more: object) -> None:
    state = edited.state
    document = {"format_version": 1, "lineage": state.lineage, "serial": state.serial, **more}
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))
