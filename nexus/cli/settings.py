"""What the command line was told before any command: the environment, the folder, and how to look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One value that commands hand on; the only door through which the process environment comes in."""

    environment: Mapping[str, str]
    folder: Path
    no_color: bool = False

    @classmethod
    def of_this_command(cls) -> Settings:
        """Those of the command that runs, for what it calls without handing them on."""
        import click

        settings = click.get_current_context().find_object(cls)
        assert settings is not None
        return settings

    def console(self, *, stderr: bool = False) -> Console:
        """A console for stdout or stderr that honours what was asked for."""
        import sys

        from nexus.render.console import Look, console

        stream = sys.stderr if stderr else sys.stdout
        return console(Look.of(stream, self.environment, no_color=self.no_color), stderr=stderr)

    def is_live(self) -> bool:
        """Whether lines on stderr may be redrawn."""
        import sys

        from nexus.render.console import Look

        return Look.of(sys.stderr, self.environment, no_color=self.no_color).live
