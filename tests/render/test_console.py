"""What a terminal is taken to be able to do, and what is written where it can do less."""

from __future__ import annotations

import io
from collections.abc import Mapping

import pytest
from rich.text import Text

from nexus.render.console import Look, console


class Stream(io.TextIOWrapper):
    def __init__(self, encoding: str = "utf-8", *, terminal: bool = True) -> None:
        super().__init__(io.BytesIO(), encoding=encoding)
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


@pytest.mark.parametrize(
    ("environment", "stream", "color", "live"),
    [
        ({"TERM": "xterm"}, Stream(), True, True),
        ({"TERM": "xterm"}, Stream(terminal=False), False, False),
        ({"TERM": "dumb"}, Stream(), False, False),
        ({"TERM": "xterm", "CI": "true"}, Stream(), True, False),
        ({"TERM": "xterm", "CI": "false"}, Stream(), True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, Stream(), False, True),
        ({"TERM": "xterm", "NO_COLOR": ""}, Stream(), True, True),
        ({"TERM": "xterm"}, Stream("latin-1"), True, False),
    ],
)
def test_colour_and_movement_are_for_terminals_that_want_them(
    environment: Mapping[str, str], stream: Stream, color: bool, live: bool
) -> None:
    assert Look.of(stream, environment) == Look(color=color, live=live)
    assert not Look.of(stream, environment, no_color=True).color


@pytest.mark.parametrize(
    ("encoding", "written"), [("ascii", "+ sandbox.w[0...9]: ? -> x"), ("utf-8", "✓ sandbox.w[0…9]: é → ✗")]
)
def test_signs_that_a_terminal_does_not_have_are_replaced(encoding: str, written: str) -> None:
    stream = Stream(encoding)
    console(Look(color=False, live=False), file=stream).print(Text("✓ sandbox.w[0…9]: é → ✗"))
    stream.flush()
    assert stream.buffer.getvalue().decode(encoding) == f"{written}\n"  # type: ignore[attr-defined]


def test_no_style_depends_on_the_background() -> None:
    """Grey and blue of some palettes are not to be seen on their backgrounds: faint is dim, places are bright."""
    from nexus.render.console import THEME

    colours = {name: style.color.name for name, style in THEME.styles.items() if style.color is not None}
    ours = {name: colours.get(name) for name in ("faint", "forget", "address", "place")}
    assert ours == {"faint": None, "forget": None, "address": None, "place": "bright_blue"}
