"""What stands in the pages: fenced blocks, each with what an invisible comment above it says of how it is tested.

``<!-- file: nexus.yaml -->``    the block is that file of the page's scratch project, as a reader would save it
``<!-- append: nexus.yaml -->``  likewise, added at the end of that file
``<!-- frame: NAME -->``         a fragment of a manifest, whole once it is put into that frame (tests/docs/frames.py)
``<!-- document: NAME -->``      another document of nexus', which ``schemas/NAME.schema.json`` describes
``<!-- picture: NAME -->``       what these commands show becomes ``docs/pictures/NAME.svg``
``<!-- not run: WHY -->``        nobody can run this here

``<!-- blocks NOTE (LANGUAGE): WORDS -->`` says one of these of every block of a page in that language.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = (README, *sorted((ROOT / "docs").rglob("*.md")))

_NOTE = re.compile(r"\s*<!-- (?P<name>file|append|frame|document|picture|not run): (?P<words>.+?) -->\s*")
_OF_THE_PAGE = re.compile(r"^<!-- blocks (?P<name>[a-z ]+?) \((?P<language>\w+)\): (?P<words>.+?) -->$", re.M)
_FENCE = re.compile(r"(?P<indent> *)```(?P<language>\S*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block. ``line`` is that of its first fence, from 1; ``heading`` the nearest above it."""

    page: Path
    line: int
    language: str
    text: str
    heading: str
    notes: Mapping[str, str]

    def __str__(self) -> str:
        return f"{name_of(self.page)}:{self.line}"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> Iterator[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    lines = text.splitlines()
    general = [match.groupdict() for match in _OF_THE_PAGE.finditer(text)]
    number, heading = 0, ""
    while number < len(lines):
        fence = _FENCE.match(lines[number])
        if fence is None:
            heading = lines[number].lstrip("# ") if lines[number].startswith("#") else heading
            number += 1
            continue
        end = lines.index(f"{fence['indent']}```", number + 1)
        body = [line.removeprefix(fence["indent"]) for line in lines[number + 1 : end]]
        own = {item["name"]: item["words"] for item in general if item["language"] == fence["language"]}
        yield Block(
            page=page,
            line=number + 1,
            language=fence["language"],
            text="".join(f"{line}\n" for line in body),
            heading=heading,
            notes=own | dict(_notes_above(lines, number)),
        )
        number = end + 1


def _notes_above(lines: list[str], number: int) -> Iterator[tuple[str, str]]:
    while number and (note := _NOTE.fullmatch(lines[number - 1])):
        yield note["name"], note["words"]
        number -= 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What is typed at a prompt, and what the page shows of the answer.

    That has so many ``lines``, of which the first has the number ``line`` in the page, from 0.
    """

    text: str
    shown: str
    line: int
    lines: int


def commands(block: Block) -> list[Command]:
    """The commands of a console block; one may go on at further prompts."""
    body = block.text.splitlines()
    begins = [number for number, line in enumerate(body) if line.startswith("$ ")]
    assert begins[:1] == [0], f"{block}: begins with no prompt"
    found: list[Command] = []
    for begin, end in zip(begins, [*begins[1:], len(body)], strict=True):
        answer = begin + 1
        while answer < end and body[answer].startswith("> "):
            answer += 1
        found.append(
            Command(
                text="\n".join(line[2:] for line in body[begin:answer]),
                shown="\n".join(body[answer:end]),
                line=block.line + answer,
                lines=end - answer,
            )
        )
    return found
