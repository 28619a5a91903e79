"""``nexus shell``: a terminal in a sandbox."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import click

from nexus.cli.failures import guarded
from nexus.cli.live import folder_of, on_live
from nexus.cli.manual import examples
from nexus.cli.options import environment_option, sandbox_argument, target_options
from nexus.cli.settings import Settings
from nexus.model.diagnostics import DiagnosticsError, error

if TYPE_CHECKING:
    from nexus import AsyncFolder

LEFT_BEHIND: Final = 255
_KNOWN_TERMINALS: Final = frozenset(
    {"linux", "screen", "screen-256color", "tmux", "tmux-256color", "vt100", "vt220", "xterm", "xterm-256color"}
)
"""What every image can draw on; others are taken for the last of these."""


@click.command(
    "shell",
    epilog=examples(
        "nexus shell web",
        "nexus shell 'workspace[ada]' --user root --workdir /app",
        exit_codes={0: "and all others: the shell's own", 255: "left by ~. or the connection was lost"},
    ),
)
@sandbox_argument
@click.option("--user", metavar="USER", help="User of the sandbox to be; the sandbox's own if not said.")
@click.option("--workdir", metavar="FOLDER", help="Folder of the sandbox to begin in; the user's home if not said.")
@environment_option
@target_options
@click.pass_obj
@guarded
def command(
    settings: Settings, sandbox: str, user: str | None, workdir: str | None, environment: str, local: bool
) -> int:
    """Open a shell in SANDBOX, on a terminal of its own: a name, name[key], an address, or an id at E2B.

    Every key goes to the shell, Ctrl-C too, and its exit code is passed on. Enter, then ~ and a full stop leave a shell
    that does not answer any more; it is ended, with the exit code 255.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise DiagnosticsError(
            error("no-terminal", "A shell needs a terminal", hint="«nexus exec SANDBOX -- COMMAND» runs without one")
        )
    from nexus.cli.terminal import LeftBehindError, OwnTerminal

    own = OwnTerminal()

    async def work(folder: AsyncFolder) -> int:
        columns, rows = own.size
        opening = folder.sandbox(sandbox).terminal(
            own.show,
            columns=columns,
            rows=rows,
            user=user,
            working_dir=workdir,
            env_vars=_terminal_variables(settings),
        )
        async with opening as shell:
            with own.raw():
                return await own.attend(shell)

    try:
        return on_live(folder_of(settings, environment, local=local), work)
    except LeftBehindError:
        click.echo("Left the shell behind.", err=True)
        return LEFT_BEHIND


def _terminal_variables(settings: Settings) -> dict[str, str]:
    """What programs in the sandbox have to know of the terminal here."""
    name = settings.environment.get("TERM", "")
    colours = settings.environment.get("COLORTERM")
    return {
        "TERM": name if name in _KNOWN_TERMINALS else "xterm-256color",
        **({} if colours is None else {"COLORTERM": colours}),
    }
