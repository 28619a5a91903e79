"""``nexus completion``: the script that lets a shell complete commands, options and names of the project."""

from __future__ import annotations

import click

from nexus.cli.failures import guarded
from nexus.cli.manual import examples

_VARIABLE = "_NEXUS_COMPLETE"


@click.command(
    "completion",
    epilog=examples(
        'eval "$(nexus completion bash)"  # in ~/.bashrc',
        'eval "$(nexus completion zsh)"  # in ~/.zshrc, after compinit',
        "nexus completion fish > ~/.config/fish/completions/nexus.fish",
    ),
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
@guarded
def command(context: click.Context, shell: str) -> int:
    """Print the script that lets SHELL complete what is typed: commands, options, addresses, names of live sandboxes.

    Put the line below that belongs to yours into the file that it names, to have it in every shell from now on. Names
    are those that the state and the manifest of the folder tell. Nothing is asked over the network.
    """
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    assert found is not None
    click.echo(found(context.find_root().command, {}, "nexus", _VARIABLE).source())
    return 0
