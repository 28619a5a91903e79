"""What the command line says before it does anything, and how fast."""

from __future__ import annotations

import itertools
import platform
import re
import shlex
import subprocess
import sys

import click
import pytest

import nexus as package
from nexus.cli.main import COMMANDS, root, run

HEAVY = ("rich", "e2b", "networkx", "yaml", "cel", "asyncio", "httpx", "starlette", "nexus.model", "nexus.kinds")


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["pln"]])
def test_nothing_heavy_is_imported_for_what_needs_nothing(arguments: list[str]) -> None:
    program = (
        "import sys; from nexus.cli.main import run; run(sys.argv[2:]); "
        "loaded = [name for name in sys.argv[1].split(',') if name in sys.modules]; sys.exit(','.join(loaded) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program, ",".join(HEAVY), *arguments], capture_output=True, text=True)
    assert (done.returncode, done.stderr if arguments[0] != "pln" else "") == (0, "")


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    first, *others = capsys.readouterr().out.splitlines()
    assert first == f"nexus, version {package.__version__}"
    assert others[-1].startswith("e2b 2.")
    assert f"Python {platform.python_version()}" in others[-1]


@pytest.mark.parametrize(
    ("said", "meant"), [("pln", "plan"), ("destory", "destroy"), ("outputs", "output"), ("log", "logs")]
)
def test_an_unknown_command_is_answered_with_the_nearest(
    said: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([said]) == 2
    assert f"No such command '{said}'. Did you mean '{meant}'?" in capsys.readouterr().err


def commands() -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    context = click.Context(root)
    for name in COMMANDS:
        command = root.get_command(context, name)
        found.append((name,))
        if isinstance(command, click.Group):
            found += [(name, below) for below in command.commands]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_and_every_option_is_explained(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([*words, "-h"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"Usage: nexus {' '.join(words)}")
    command: click.Command | None = root
    for word in words:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), word)
    assert command is not None
    assert command.help
    unexplained = [item.name for item in command.params if isinstance(item, click.Option) and not item.help]
    assert not unexplained


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_help_fits_a_terminal_of_eighty_columns(
    words: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    assert run([*words, "--help"]) == 0
    text = capsys.readouterr().out
    assert [line for line in text.splitlines() if len(line) > 80] == []
    assert "..." not in text.partition("Commands:")[2], "a line about a command that is cut off"


def test_every_command_has_examples_that_it_understands(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(click.Command, "invoke", lambda *_: 0)  # words are read, and nothing is done
    for words in commands():
        command: click.Command | None = root
        for word in words:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), word)
        assert command is not None
        shown = (command.epilog or "").partition("Examples:\n")[2].partition("\n\n")[0].splitlines()
        assert isinstance(command, click.Group) or any(f"nexus {' '.join(words)}" in line for line in shown), words
        for line in shown:
            assert run(words_for_nexus(line)) == 0, line


def words_for_nexus(line: str) -> list[str]:
    """Those that a shell would hand to the last nexus of a line."""
    inside = re.search(r"\$\((nexus [^)]*)\)", line)
    typed = shlex.split(inside[1] if inside else line, comments=True)
    begin = len(typed) - typed[::-1].index("nexus")
    return list(itertools.takewhile(lambda word: word not in {"|", "<", ">", "&&"}, typed[begin:]))
