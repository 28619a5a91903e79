"""The one place that decides how text reaches a terminal: colour, width, and whether anything may move."""

from __future__ import annotations

import codecs
import io
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TextIO

from rich.console import Console
from rich.text import Text
from rich.theme import Theme

WIDEST: Final = 120
"""Columns. What is aligned at the right does not go further away than that, however wide a terminal is."""

# Colours of the terminal's own palette, so that dark and light backgrounds are both readable; what is faint is dimmed
# and not grey, which some palettes give the very colour of their background.
THEME = Theme(
    {
        "create": "green",
        "update": "yellow",
        "replace": "magenta",
        "delete": "red",
        "run": "cyan",
        "resume": "cyan",
        "extend": "cyan",
        "adopt": "blue",
        "forget": "dim",
        "release": "yellow",
        "refresh": "blue",
        "error": "bold red",
        "warning": "bold yellow",
        "hint": "cyan",
        "place": "bright_blue",
        "faint": "dim",
        "ok": "green",
        "address": "bold",
        "old": "red",
        "new": "green",
        "unknown": "italic cyan",
        "sensitive": "italic magenta",
    }
)


_IN_ASCII: Final = str.maketrans(
    {"…": "...", "→": "->", "✓": "+", "✗": "x", "×": "x", "│": "|", "├": "|", "└": "`", "━": "#", "─": "-", "·": ","}
    | {"«": '"', "»": '"'}
    | dict.fromkeys("⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏", "*")
)
"""What we draw with, and what stands for it on terminals that have no such signs."""

_IN_ASCII_HANDLER: Final = "nexus.ascii"


@dataclass(frozen=True, slots=True)
class Look:
    """What the outside allows. ``live`` means that lines may be redrawn: a terminal, and nobody said no."""

    color: bool
    live: bool

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str], *, no_color: bool = False) -> Look:
        """Colour and movement only on a terminal; ``NO_COLOR``, ``TERM=dumb``, ``CI``, ``--no-color`` are honoured."""
        terminal = stream.isatty() and environment.get("TERM", "") != "dumb"
        quiet = no_color or bool(environment.get("NO_COLOR"))
        in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
        return cls(color=terminal and not quiet, live=terminal and not in_ci and _draws(stream))


def _draws(stream: TextIO) -> bool:
    """Whether the stream takes every sign that we draw with."""
    try:
        "".join(map(chr, _IN_ASCII)).encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _in_ascii(problem: UnicodeError) -> tuple[str, int]:
    """Handler for encoding errors: what stands for a sign that a stream does not take."""
    if not isinstance(problem, UnicodeEncodeError):
        raise problem
    signs = problem.object[problem.start : problem.end]
    return "".join(_IN_ASCII.get(ord(sign), "?") for sign in signs), problem.end


codecs.register_error(_IN_ASCII_HANDLER, _in_ascii)


def console(look: Look, *, stderr: bool = False, width: int | None = None, file: TextIO | None = None) -> Console:
    """A console that never guesses: it highlights nothing by itself and takes texts literally."""
    target = file or (sys.stderr if stderr else sys.stdout)
    if isinstance(target, io.TextIOWrapper) and not _draws(target):
        target.reconfigure(errors=_IN_ASCII_HANDLER)
    terminal_width = None if target.isatty() else 120
    return Console(
        file=target,
        theme=THEME,
        color_system="auto" if look.color else None,
        force_terminal=look.color or look.live,
        no_color=not look.color,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not look.live,
        width=width or terminal_width,
    )


def wrapping_width(console: Console) -> int | None:
    """Where lines are broken by us; None where they are left whole, for other programs to read."""
    return console.width if console.is_terminal else None


def is_plain(console: Console) -> bool:
    """Whether there are no colours and no terminal's width to break lines at: then rich adds nothing but time."""
    return console.color_system is None and console.soft_wrap


def print_texts(console: Console, texts: Iterable[Text]) -> None:
    """Prints many texts, each on lines of its own."""
    if is_plain(console):
        console.file.write("".join(f"{text.plain}\n" for text in texts))
        return
    for text in texts:
        console.print(text)
