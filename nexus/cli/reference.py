"""The reference of the commands as Markdown, made from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click

from nexus.cli.main import root


def commands_reference() -> str:
    """Every command with its arguments and options, groups before what is in them."""
    # With the root's own settings: a command remembers the help option that it was first asked for.
    return "\n".join(_pages(root, click.Context(root, info_name="nexus", **root.context_settings)))


def _pages(command: click.Command, context: click.Context) -> Iterator[str]:
    yield _page(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from _pages(found, click.Context(found, info_name=name, parent=context))


def _page(command: click.Command, context: click.Context) -> str:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    # In a docstring, \b asks click not to wrap what follows, and \f ends what is shown.
    text = inspect.cleandoc(command.help or "").partition("\f")[0].replace("\b\n", "").strip()
    lines = [f"## {context.command_path}", "", "```text", usage, "```", "", text, ""]
    records = (parameter.get_help_record(context) for parameter in command.params)
    options = [record for record in records if record is not None and record[1]]  # arguments are in the usage
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [f"| {_cell(f'`{names}`')} | {_cell(meaning)} |" for names, meaning in options]
        lines.append("")
    if command.epilog:
        lines += ["```text", command.epilog.replace("\b\n", ""), "```", ""]
    return "\n".join(lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
