"""Golden files: what is shown, compared as a whole. ``pytest --update-golden`` writes them anew."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from nexus.render.console import Look, console

FOLDER = Path(__file__).parent / "golden"
Compare = Callable[[str, str], None]
Screen = Callable[..., tuple[Console, io.StringIO]]


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Compare:
    """Compare a text with the golden file of a name."""

    def compare(name: str, text: str) -> None:
        path = FOLDER / f"{name}.txt"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        assert path.is_file(), f"{path.name} is missing: run pytest --update-golden"
        assert text == path.read_text()

    return compare


@pytest.fixture
def screen() -> Screen:
    """Consoles that write to memory, of a width, with or without colour."""

    def make(width: int = 80, *, color: bool = False) -> tuple[Console, io.StringIO]:
        stream = io.StringIO()
        look = Look(color=color, live=color)
        made = console(look, width=width, file=stream)
        if color:
            made._color_system = None
        return made, stream

    return make
