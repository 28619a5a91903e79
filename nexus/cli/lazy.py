"""A command group that imports a command's module only when it is called, so that ``--help`` is instant."""

from __future__ import annotations

import importlib
from collections.abc import Mapping

import click
from click.shell_completion import CompletionItem

from nexus.cli.manual import as_manual


class LazyGroup(click.Group):
    """``sections`` maps titles to commands, by name: the module, and the line that ``--help`` shows."""

    def __init__(self, *args: object, sections: Mapping[str, Mapping[str, tuple[str, str]]], **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.sections = sections
        self.table = {name: row for section in sections.values() for name, row in section.items()}
        as_manual(self)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in self.table:
            return None
        module = importlib.import_module(self.table[cmd_name][0])
        command = module.command
        assert isinstance(command, click.Command)
        return as_manual(command)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands with their lines, for which no module is imported; options as click has them."""
        commands = [CompletionItem(name, help=line) for name, (_, line) in self.table.items()]
        return [
            *(item for item in commands if item.value.startswith(incomplete)),
            *click.Command.shell_complete(self, ctx, incomplete),
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        width = max(map(len, self.table))
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{name:<{width}}", line) for name, (_, line) in commands.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            hint = _suggestion(args[0], self.table)
            raise click.UsageError(f"{error.message} {hint}".strip(), ctx) from error


def _suggestion(name: str, known: Mapping[str, object]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    return f"Did you mean '{close[0]}'?" if close else ""
