"""A page as its reader goes through it: files are saved and commands typed, in order, in one shell."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from tests.docs.pages import Block, Command, blocks, commands
from tests.docs.screen import Screen, without_colours
from tests.docs.terminal import typed

WIDTH = 90
"""Columns of the terminal: what fits on a page."""

_MARK = re.compile(r"\x1b\]7777;(begin|end);(\d+);(\d+)\x07")
_PREPARE = "set +eux; set -o pipefail"
_SHELL = {"TERM": "xterm-256color", "NO_COLOR": "", "CI": "", "COLUMNS": str(WIDTH), "LINES": "60", "PS4": ""}

Step: TypeAlias = tuple[Block, Command | None]
"""A block to save, or a command of a block to type."""


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


def steps(page: Path) -> list[Step]:
    """What a reader does, in order."""
    found: list[Step] = []
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
    return answers_to(steps(page), folder, home, programs)


def answers_to(todo: Sequence[Step], folder: Path, home: Path, programs: Path, *, apart: bool = False) -> list[Answer]:
    """Do these things in one shell. With ``apart``, each command in one of its own, and it may fail."""
    settings = {**_SHELL, "PATH": f"{programs}:{os.environ['PATH']}"}
    code, raw = typed(_script(todo, apart=apart), folder, home, settings=settings)
    answers = list(_answers(todo, raw.replace(str(folder), f"~/{folder.name}")))
    assert code == 0, f"exit code {code}\n{without_colours(Screen().write(raw).ansi())}"
    return answers


def _script(todo: Sequence[Step], *, apart: bool) -> str:
    lines = [_PREPARE]
    for number, (block, command) in enumerate(todo):
        if command is None:
            lines.append(_saved(block))
            continue
        after = todo[number + 1][1] if number + 1 < len(todo) else None
        asked = after is not None and after.text.startswith("echo $?")
        lines += [
            f"printf '\\033]7777;begin;{number};0\\007'; (exit ${{status:-0}})",
            f"(\n{command.text}\n)" if apart else command.text,
            f"status=$?; printf '\\033]7777;end;{number};%d\\007' $status",
            "" if asked or apart else "[ $status = 0 ] || exit $status",
        ]
    return "\n".join([*lines, "exit 0"] if apart else lines)


def _saved(block: Block) -> str:
    name, sign = (block.notes["file"], ">") if "file" in block.notes else (block.notes["append"], ">>")
    return f"mkdir -p \"$(dirname '{name}')\"; cat {sign} '{name}' <<'END OF FILE'\n{block.text}END OF FILE"


def _answers(todo: Sequence[Step], raw: str) -> Iterator[Answer]:
    begun: tuple[int, int] | None = None
    for mark in _MARK.finditer(raw):
        if mark[1] == "begin":
            begun = (int(mark[2]), mark.end())
        elif begun is not None and begun[0] == int(mark[2]):
            block, command = todo[begun[0]]
            assert command is not None
            shown = Screen().write(raw[begun[1] : mark.start()]).ansi().strip("\n")
            yield Answer(block=block, command=command, ansi=shown, code=int(mark[3]))
