"""A page as its reader goes through it: files are saved and commands typed, in order, in one shell."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.docs.pages import ROOT, Block, Command, blocks, commands, example_of
from tests.docs.screen import Screen, without_colours
from tests.docs.terminal import typed

WIDTH = 90
"""Columns of the terminal: what fits on a page."""

_MARK = re.compile(r"\x1b\]7777;(begin|end);(\d+);(\d+)\x07")
_PREPARE = "set +eux; set -o pipefail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command showed, with colours, and how it ended."""

    block: Block
    command: Command
    ansi: str
    code: int

    @property
    def text(self) -> str:
        return without_colours(self.ansi)


_SHELL = {"TERM": "xterm-256color", "NO_COLOR": "", "CI": "", "COLUMNS": str(WIDTH), "LINES": "60", "PS4": ""}


def scratch_project(page: Path, folder: Path) -> Path:
    """Where a page begins: an empty folder, or a copy of the example that it names."""
    folder.mkdir()
    if name := example_of(page):
        ignored = shutil.ignore_patterns(".nexus", "README.md")
        shutil.copytree(ROOT / "examples" / name, folder, dirs_exist_ok=True, ignore=ignored)
    return folder


def steps(page: Path) -> list[tuple[Block, Command | None]]:
    """What a reader does: a block to save, or a command to type."""
    found: list[tuple[Block, Command | None]] = []
    for block in blocks(page):
        if "not run" in block.notes:
            continue
        if block.notes.keys() & {"file", "append"}:
            found.append((block, None))
        elif block.language == "console":
            found.extend((block, command) for command in commands(block))
    return found


def played(page: Path, folder: Path, home: Path, programs: Path) -> list[Answer]:
    """Go through a page in ``folder``. Fails where a command does, unless the page then asks for its exit code."""
    todo = steps(page)
    settings = {**_SHELL, "PATH": f"{programs}:{os.environ['PATH']}"}
    code, raw = typed(_script(todo), folder, home, settings=settings)
    answers = list(_answers(todo, raw.replace(str(folder), f"~/{folder.name}")))
    assert code == 0, f"{page.name}: exit code {code}\n{without_colours(Screen().write(raw).ansi())}"
    return answers


def _script(todo: list[tuple[Block, Command | None]]) -> str:
    lines = [_PREPARE]
    for number, (block, command) in enumerate(todo):
        if command is None:
            lines.append(_saved(block))
            continue
        after = todo[number + 1][1] if number + 1 < len(todo) else None
        asked = after is not None and after.text.startswith("echo $?")
        lines += [
            f"printf '\\033]7777;begin;{number};0\\007'; (exit ${{status:-0}})",
            command.text,
            f"status=$?; printf '\\033]7777;end;{number};%d\\007' $status",
            "" if asked else "[ $status = 0 ] || exit $status",
        ]
    return "\n".join(lines)


def _saved(block: Block) -> str:
    name, sign = (block.notes["file"], ">") if "file" in block.notes else (block.notes["append"], ">>")
    return f"mkdir -p \"$(dirname '{name}')\"; cat {sign} '{name}' <<'END OF FILE'\n{block.text}END OF FILE"


def _answers(todo: list[tuple[Block, Command | None]], raw: str) -> Iterator[Answer]:
    begun: tuple[int, int] | None = None
    for mark in _MARK.finditer(raw):
        if mark[1] == "begin":
            begun = (int(mark[2]), mark.end())
        elif begun is not None and begun[0] == int(mark[2]):
            block, command = todo[begun[0]]
            assert command is not None
            shown = Screen().write(raw[begun[1] : mark.start()]).ansi().strip("\n")
            yield Answer(block=block, command=command, ansi=shown, code=int(mark[3]))
