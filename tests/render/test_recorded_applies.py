"""Applies that took place, shown again by a clock that tells their times: on a terminal, and where nothing moves."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from rich.console import Console

from nexus.render.console import Look, console
from nexus.render.progress import Progress
from tests.render.conftest import Compare, Screen
from tests.render.recorded import SOURCE, lines, recorded

WIDTHS = (80, 120, 200)
RECORDINGS = ("apply", "update", "destroy")
MOMENTS = {"apply": (0.9, 4.0, 6.2), "update": (4.4, 9.0), "destroy": (0.05,)}
"""Seconds after the beginning at which the board is looked at."""

SCHEMA = Path(__file__).parents[2] / "schemas" / "events.schema.json"


class Replay:
    """A recording on a screen."""

    def __init__(self, name: str, screen: Screen, width: int, *, live: bool, verbose: bool = False) -> None:
        self.console, self.stream = screen(width, color=live)
        self.now = 0.0
        self.progress = Progress(self.console, lambda _: SOURCE, lambda: self.now, live=live, verbose=verbose)
        self._events = iter(recorded(name))
        self._next = next(self._events, None)

    def until(self, seconds: float) -> str:
        """What has been written by then and stays."""
        while self._next is not None and self._next[0] <= seconds:
            self.now, event = self._next
            self.progress(event)
            self._next = next(self._events, None)
        self.now = seconds
        return self.stream.getvalue()

    def board(self) -> str:
        """What is redrawn now."""
        assert self.progress.board is not None
        with self.console.capture() as capture:
            self.console.print(self.progress.board.render())
        return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def frames(name: str, screen: Screen, width: int) -> Iterator[str]:
    replay = Replay(name, screen, width, live=True)
    shown = 0
    for moment in MOMENTS[name]:
        text = replay.until(moment)
        yield f"==== what stays, until {moment}s\n{text[shown:]}==== the board\n{replay.board()}"
        shown = len(text)
    yield f"==== what stays, until the end\n{replay.until(1000)[shown:]}"


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_on_a_terminal(name: str, width: int, screen: Screen, golden: Compare) -> None:
    golden(f"{name}-live-{width}", "".join(frames(name, screen, width)))


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", RECORDINGS)
def test_no_line_on_a_terminal_is_wider_than_it(name: str, width: int, screen: Screen) -> None:
    for frame in frames(name, screen, width):
        assert max(map(len, frame.splitlines())) <= width


@pytest.mark.parametrize("name", RECORDINGS)
def test_where_nothing_moves(name: str, screen: Screen, golden: Compare) -> None:
    golden(f"{name}-plain", Replay(name, screen, 120, live=False).until(1000))


@pytest.mark.parametrize("name", RECORDINGS)
def test_where_nothing_moves_no_line_is_broken(name: str, screen: Screen) -> None:
    """Programs read it, and terminals of any width show it: only plans look at the width."""
    texts = [Replay(name, screen, width, live=False).until(1000) for width in WIDTHS]
    after_plan = [text.partition("\nPlan: ")[2] for text in texts]
    assert after_plan[0] == after_plan[1] == after_plan[2]


@pytest.mark.parametrize("name", RECORDINGS)
def test_whatever_a_colour_tells_is_told_without_it(name: str, screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    def coloured(_width: int, *, color: bool) -> tuple[Console, io.StringIO]:
        stream = io.StringIO()
        return console(Look(color=color, live=color), width=120, file=stream), stream

    monkeypatch.setenv("TERM", "xterm-256color")
    text = Replay(name, coloured, 120, live=True).until(1000)
    assert "\x1b[32m" in text
    assert re.sub(r"\x1b\[[0-9;]*m", "", text) == Replay(name, screen, 120, live=True).until(1000)


def test_every_operation_of_many_alike_is_told_when_asked_for(screen: Screen) -> None:
    text = Replay("update", screen, 120, live=False, verbose=True).until(1000)
    assert all(f'✓ sandbox.worker["{number}"]: created the new one' in text for number in range(9))
    assert re.search(r"template\.toolbox │ .*building part 3 of 8", text)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recording_is_as_the_schema_of_events_says(name: str) -> None:
    schema = json.loads(SCHEMA.read_text())
    for line in lines(name):
        Draft202012Validator(schema).validate(line)
