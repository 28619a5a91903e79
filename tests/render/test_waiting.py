"""The line that moves while there is nothing to show yet."""

from __future__ import annotations

from rich.text import Text

from nexus.render.waiting import Waiting
from tests.render.conftest import Screen


def test_what_is_waited_for_is_told_anew_and_how_long_it_lasts(screen: Screen) -> None:
    console, _ = screen(80, color=True)
    now, words = [100.0], ["Starting the local engine"]
    line = Waiting(console, lambda: words[0], lambda: now[0])
    assert line.render().plain == "⠋ Starting the local engine"
    now[0] += 2.5
    words[0] = "Making the plan"
    assert _without_spinner(line.render()) == "Making the plan  2.5s"


def test_the_line_never_breaks(screen: Screen) -> None:
    console, _ = screen(20, color=True)
    assert Waiting(console, lambda: "Looking at what is out there").render().cell_len == 20


def test_nothing_of_it_stays_and_ending_it_twice_is_no_harm(screen: Screen) -> None:
    console, stream = screen(80, color=True)
    line = Waiting(console, lambda: "Making the plan")
    line.start()
    line.stop()
    line.stop()
    console.print("done")
    assert "Making the plan" in stream.getvalue()
    assert stream.getvalue().endswith("\x1b[2Kdone\n")


def _without_spinner(text: Text) -> str:
    return text.plain[2:]
