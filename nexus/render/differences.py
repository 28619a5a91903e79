"""A field of a plan as lines with signs, where there is room for whole values: Markdown and the interactive page.

Like everything here it shows no secret, and what is very long is cut: a reader wants to see what differs.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final, Literal

from nexus.model.changes import FieldDiff
from nexus.model.values import Fingerprint, Sensitive, Value, has_sensitive
from nexus.render.fields import EFFECTS
from nexus.render.values import SENSITIVE, plural, public_text

Sign = Literal["+", "-", " "]

_MOST_LINES: Final = 60
_WIDEST: Final = 300
_CONTEXT: Final = 2


@dataclass(frozen=True, slots=True)
class Line:
    """``sign`` says whether it comes, goes, or stays."""

    sign: Sign
    text: str


def remark(diff: FieldDiff) -> str:
    """What is to be said of a field besides its value; empty for most."""
    return ", ".join(part for part in (diff.note, EFFECTS[diff.effect] if diff.before is not None else "") if part)


def lines(diff: FieldDiff) -> list[Line]:
    """What differs, line by line."""
    found = [Line(line.sign, _cut(line.text)) for line in _lines(diff.before, diff.after)]
    if len(found) > _MOST_LINES:
        more = plural(len(found) - _MOST_LINES, "more line")
        return [*found[:_MOST_LINES], Line(" ", f"… {more}")]
    return found


def _lines(before: Value, after: Value) -> Iterator[Line]:
    if isinstance(before, (Sensitive, Fingerprint)) and isinstance(after, (Sensitive, Fingerprint)):
        yield Line(" ", f"{SENSITIVE}, another value")
        return
    old, new = _written(before), _written(after)
    if len(old) <= 1 or len(new) <= 1:
        yield from (Line("-", text) for text in old)
        yield from (Line("+", text) for text in new)
        return
    if old == new:
        yield Line(" ", "another secret in it" if has_sensitive(after) else "the same, in another form")
        return
    for line in islice(
        difflib.unified_diff(old, new, n=_CONTEXT, lineterm=""), 2, None
    ):  # two lines are names of files
        yield Line(" ", "…") if line.startswith("@@") else Line(_sign(line), line[1:])


def _sign(line: str) -> Sign:
    return "+" if line[0] == "+" else "-" if line[0] == "-" else " "


def _written(value: Value) -> list[str]:
    """The value on lines of its own: texts as they are, maps and lists an entry a line; nothing for what is absent."""
    if value is None or value == {} or value == []:
        return []
    match value:
        case str() if "\n" in value:
            return value.removesuffix("\n").split("\n")
        case dict():
            return [f"{key} = {public_text(item)}" for key, item in value.items() if item != []]
        case list():
            return [item if isinstance(item, str) and "\n" not in item else public_text(item) for item in value]
        case str():
            return [json.dumps(value, ensure_ascii=False)]
        case _:
            return [public_text(value)]


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
