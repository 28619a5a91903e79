"""What ``--help`` shows below a command's options: examples to copy, and the exit codes that scripts may rely on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import click

_KEEP_LAYOUT: Final = "\b\n"
"""Asks click to leave the lines of a paragraph as they are."""


def examples(*lines: str, exit_codes: Mapping[int, str] | None = None) -> str:
    """The epilog of a command: lines as one types them, comments after two blanks and a #; special exit codes."""
    rows = [(command, f"# {comment}" if comment else "") for command, _, comment in map(_parts, lines)]
    codes = [(str(code), meaning) for code, meaning in (exit_codes or {}).items()]
    return "\n\n".join(section(title, part) for title, part in (("Examples", rows), ("Exit codes", codes)) if part)


def section(title: str, rows: list[tuple[str, str]]) -> str:
    """A title, and below it rows of two columns; a row without a second one is as long as it likes."""
    width = max((len(first) for first, second in rows if second), default=0)
    return "\n".join([f"{_KEEP_LAYOUT}{title}:", *(f"  {first:<{width}}  {second}".rstrip() for first, second in rows)])


class _Formatter(click.HelpFormatter):
    """Has the sections below a command's options begin where those of its options do."""

    def write_text(self, text: str) -> None:
        if not text.startswith(_KEEP_LAYOUT):
            super().write_text(text)
            return
        self.dedent()
        super().write_text(text)
        self.indent()


class _Context(click.Context):
    formatter_class = _Formatter


def as_manual(command: click.Command) -> click.Command:
    """The command, with its help and that of all below it laid out by us."""
    command.context_class = _Context
    for below in command.commands.values() if isinstance(command, click.Group) else ():
        as_manual(below)
    return command


def _parts(line: str) -> tuple[str, str, str]:
    return line.partition("  # ")


MANUAL: Final = "\n\n".join(
    (
        examples(
            "nexus init && nexus apply  # a first project, on this machine",
            "nexus -C shop plan -e prod",
            "nexus exec --help  # one command in detail",
        ),
        section(
            "Environment",
            [
                ("E2B_API_KEY", "the key of the E2B account; without it, sandboxes"),
                ("", "are made on this machine by the local engine"),
                ("E2B_DOMAIN, E2B_API_URL", "another deployment of E2B"),
                ("NEXUS_TARGET", "e2b or local, whatever else is set"),
                ("NEXUS_HOME", "what belongs to this machine; ~/.local/share/nexus"),
                ("NEXUS_VAR_name", "a value for the variable of that name"),
                ("NEXUS_DEBUG", "tracebacks, where there is a fault of nexus"),
                ("NO_COLOR", "no colours"),
            ],
        ),
        section(
            "Exit codes",
            [
                ("0", "done"),
                ("1", "an error; nothing was applied"),
                ("2", "changes are pending (only with --detailed-exitcode), or wrong usage"),
                ("3", "partly applied; the next apply continues"),
                ("130", "interrupted"),
            ],
        ),
    )
)
"""What the help of nexus itself ends with."""
