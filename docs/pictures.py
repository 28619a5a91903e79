"""The pictures of the pages: recordings of terminals as SVG, and the graph of an example as nexus draws it.

A recording, ``pictures/NAME.ansi``, is what the commands of a page showed in a terminal. Drawing it needs nothing else.
``tests/docs/test_sessions.py`` compares it with what they show today, and writes it anew.
"""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

FOLDER: Final = Path(__file__).parent / "pictures"
EXAMPLES: Final = Path(__file__).parents[1] / "examples"
GRAPHS: Final = {"graph": "data-pipeline"}
"""Pictures of graphs, and the example that each is of."""


def _colours(text: str) -> list[tuple[int, int, int]]:
    return [(int(word[:2], 16), int(word[2:4], 16), int(word[4:], 16)) for word in text.split()]


_WIDTH: Final = 90
_THEME: Final = TerminalTheme(
    (13, 17, 23),
    (230, 237, 243),
    _colours("484f58 ff7b72 3fb950 d29922 58a6ff bc8cff 39c5cf b1bac4"),
    _colours("6e7681 ffa198 56d364 e3b341 79c0ff d2a8ff 56d4dd ffffff"),
)
_SVG: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" class="rich-terminal" viewBox="0 0 {width} {height}" role="img">
<style>
.{unique_id}-matrix {{
  font: {char_height}px ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
}}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""As rich draws a terminal, without fonts that would have to be fetched: a page shows it offline, too."""


def drawings() -> Iterator[tuple[Path, str]]:
    """Every picture: its path, and what has to be in it."""
    for path in sorted(FOLDER.glob("*.ansi")):
        yield path.with_suffix(".svg"), terminal(path.read_text(encoding="utf-8"), path.stem)
    for name, example in GRAPHS.items():
        yield FOLDER / f"{name}.svg", graph(EXAMPLES / example)


def terminal(recording: str, name: str) -> str:
    """A terminal's window that shows a recording."""
    console = Console(
        record=True,
        width=_WIDTH,
        file=io.StringIO(),
        force_terminal=True,
        color_system="truecolor",
        legacy_windows=False,
    )
    for line in recording.splitlines():
        console.print(Text.from_ansi(line), highlight=False, soft_wrap=True)
    drawn = console.export_svg(title="nexus", theme=_THEME, code_format=_SVG, unique_id=f"nexus-{name}")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def graph(project: Path) -> str:
    """What ``nexus graph`` draws of a project by itself; no network is touched."""
    command = [sys.executable, "-m", "nexus", "-C", str(project), "graph", "--no-plan", "--format", "svg"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
