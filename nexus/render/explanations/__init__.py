"""The pages behind ``nexus explain``: what each code of an error or a warning means, an example, and how to mend it.

The pages are the Markdown files of this folder, one file for each part of nexus. They come with the package, so that
they can be read offline, and are the source of ``docs/errors.md``.
"""

from __future__ import annotations

import functools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

from rich.console import Console
from rich.text import Text

from nexus.model.diagnostics import DiagnosticsError, error
from nexus.model.suggestions import did_you_mean
from nexus.render.console import wrapping_width


@dataclass(frozen=True, slots=True)
class Explanation:
    """``text`` is Markdown: sentences, one fenced example, and what to do."""

    code: str
    group: str
    text: str

    @property
    def first_sentence(self) -> str:
        line = self.text.strip().splitlines()[0]
        return re.split(r"(?<=[.:])\s", line, maxsplit=1)[0].rstrip(":")


@functools.cache
def explanations() -> tuple[Explanation, ...]:
    """All of them, group by group."""
    folder = files(__package__)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".md"))
    return tuple(item for name in names for item in _parsed(folder.joinpath(name).read_text(encoding="utf-8")))


def explanation_of(code: str) -> Explanation:
    """The page of a code, however it is written. Raises DiagnosticsError, naming the nearest, where there is none."""
    wanted = code.strip().lower().replace("_", "-")
    known = {item.code: item for item in explanations()}
    if wanted not in known:
        raise DiagnosticsError(
            error(
                "unknown-code",
                f"There is no code «{code}»",
                hint=did_you_mean(wanted, known) or "«nexus explain» lists all codes",
            )
        )
    return known[wanted]


def introductions() -> dict[str, str]:
    """What is said of each group as a whole, by its name."""
    folder = files(__package__)
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".md"))
    return dict(_head(folder.joinpath(name).read_text(encoding="utf-8")) for name in names)


def print_explanation(console: Console, explanation: Explanation) -> None:
    """One page, as a terminal shows it."""
    text = Text.assemble((explanation.code, "bold"), (f"  {explanation.group}\n\n", "faint"))
    example = False
    for line in explanation.text.strip().splitlines():
        if line.startswith("```"):
            example = not example
        elif example:
            text.append(f"    {line}\n", style="place")
        else:
            text.append_text(_paragraph(line, wrapping_width(console)))
    console.print(text, end="")


def print_index(console: Console) -> None:
    """Every code, with the sentence that says what is wrong."""
    group = ""
    for item in explanations():
        if item.group != group:
            console.print(Text.assemble(("\n" if group else "", ""), (item.group, "bold")))
            group = item.group
        width = wrapping_width(console)
        sentence = re.sub(r"`([^`]+)`", r"«\1»", item.first_sentence)
        room = None if width is None else max(width - 29, 20)
        shown = sentence if room is None or len(sentence) <= room else f"{sentence[: room - 1]}…"
        console.print(Text.assemble((f"  {item.code:<26} ", "address"), shown))


def _paragraph(line: str, width: int | None) -> Text:
    """Sentences on lines that fit, without the marks that Markdown needs."""
    plain = re.sub(r"`([^`]+)`", r"«\1»", line)
    bold, _, rest = plain.removeprefix("**").partition("**") if plain.startswith("**") else ("", "", plain)
    whole = f"{bold}{rest}"
    text = Text("\n".join([whole] if width is None else textwrap.wrap(whole, width)) + "\n")
    text.stylize("hint", 0, len(bold))
    return text


def _head(page: str) -> tuple[str, str]:
    head = page.partition("\n## ")[0]
    title, _, words = head.removeprefix("# ").partition("\n")
    return title.strip(), words.strip()


def _parsed(page: str) -> Iterator[Explanation]:
    group, _ = _head(page)
    for section in re.split(r"^## ", page, flags=re.MULTILINE)[1:]:
        code, _, text = section.partition("\n")
        yield Explanation(code.strip(), group, text.strip() + "\n")
