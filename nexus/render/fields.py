"""One field of a plan as a person reads it: lists as what comes and goes, texts as their lines, maps as pairs."""

from __future__ import annotations

import difflib
from typing import Final

from rich.text import Text

from nexus.model.changes import Effect, FieldDiff
from nexus.model.values import Fingerprint, Sensitive, Value
from nexus.render.values import SENSITIVE, UNKNOWN_TEXT, short

EFFECTS: Final = {
    Effect.REPLACE: "forces replacement",
    Effect.IN_PLACE: "in place",
    Effect.SETUP: "",
    Effect.REBUILD: "needs a new build",
    Effect.RERUN: "",
    Effect.NONE: "",
}
_MOST_LINES: Final = 12
_CONTEXT: Final = 12
"""How many characters before a difference are shown with it."""
_WHOLE: Final = 2000


def sign_of(diff: FieldDiff) -> tuple[str, str]:
    """The sign of a field that differs, and its style: it comes, it goes, or it changes."""
    if _is_nothing(diff.before):
        return "+", "create"
    return ("-", "delete") if _is_nothing(diff.after) else ("~", "update")


def new_field(diff: FieldDiff, width: int) -> Text:
    """A field of something that is to be made."""
    return _marked(_new_field(diff, width))


def changed_field(diff: FieldDiff, width: int) -> Text:
    """A field that differs, with what changing it does."""
    remarks = ", ".join(remark for remark in (diff.note, EFFECTS[diff.effect]) if remark)
    style = "replace" if diff.effect is Effect.REPLACE else "faint"
    if diff.path.startswith("uploads["):
        return Text(remarks or "changed", style=style if diff.effect is Effect.REPLACE else "")
    return _marked(_with_remark(_change(diff.before, diff.after, width), remarks, width, style))


def _marked(text: Text) -> Text:
    """What nobody may see, and what nobody knows yet, in a style of their own."""
    text.highlight_words([SENSITIVE], "sensitive")
    text.highlight_words([UNKNOWN_TEXT], "unknown")
    return text


def _new_field(diff: FieldDiff, width: int) -> Text:
    if diff.path == "uploads":
        return _with_remark(Text(_upload_paths(diff.after, width)), diff.note, width)
    if diff.path == "packages" and isinstance(diff.after, dict):
        return Text(_packages(diff.after, width))
    return _with_remark(Text(_plain(diff.after, width)), diff.note, width)


def _is_nothing(value: Value) -> bool:
    return value is None or value == [] or value == {}


def _change(before: Value, after: Value, width: int) -> Text:
    if isinstance(before, (Sensitive, Fingerprint)) and isinstance(after, (Sensitive, Fingerprint)):
        return Text(f"{SENSITIVE}, another value")
    if isinstance(before, list) and isinstance(after, list) and before and after:
        return _list_change(before, after, width)
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        return _text_change(before, after, width)
    if _is_nothing(before) or _is_nothing(after):
        return Text(_plain(before if _is_nothing(after) else after, width))
    half = max((width - 3) // 2, 10)
    left, right = _parting(_plain(before, _WHOLE), _plain(after, _WHOLE), half)
    left = short_line(left, half)
    right = short_line(right, max(width - 3 - len(left), half))
    return Text.assemble((left, "old"), (" → ", "faint"), (right, "new"))


def _parting(left: str, right: str, width: int) -> tuple[str, str]:
    """Both texts from shortly before where they part, if they part where a line of ``width`` would not show it."""
    pairs = enumerate(zip(left, right, strict=False))
    common = next((index for index, (one, other) in pairs if one != other), 0)
    skipped = common - _CONTEXT
    if max(len(left), len(right)) <= width or skipped <= 0:
        return left, right
    return f"…{left[skipped:]}", f"…{right[skipped:]}"


def _list_change(before: list[Value], after: list[Value], width: int) -> Text:
    """What comes and what goes; where that is nothing, the order is what changed."""
    gone = [item for item in before if item not in after]
    new = [item for item in after if item not in before]
    if not gone and not new:
        return Text("in another order")
    text = Text()
    for items, mark, style in ((gone, "-", "old"), (new, "+", "new")):
        for item in items:
            text.append(f"{'  ' if text else ''}{mark} {_plain(item, width // 2)}", style=style)
    return text


def _text_change(before: str, after: str, width: int) -> Text:
    """The lines that differ, as many as help."""
    lines = [
        line
        for line in difflib.unified_diff(before.splitlines(), after.splitlines(), n=1, lineterm="")
        if not line.startswith(("---", "+++", "@@"))
    ]
    text = Text(f"{len(before.splitlines())} → {len(after.splitlines())} lines")
    for line in lines[:_MOST_LINES]:
        style = {"+": "new", "-": "old"}.get(line[:1], "faint")
        text.append(f"\n  {short_line(line, width)}", style=style)
    if len(lines) > _MOST_LINES:
        text.append(f"\n  … {len(lines) - _MOST_LINES} more", style="faint")
    return text


def short_line(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(width - 1, 1)] + "…"


def _upload_paths(uploads: Value, width: int) -> str:
    paths = [str(item.get("path")) for item in uploads if isinstance(item, dict)] if isinstance(uploads, list) else []
    return short_line(", ".join(paths), width) if paths else _plain(uploads, width)


def _packages(packages: dict[str, Value], width: int) -> str:
    """``pip: six, idna  npm: is-number``."""
    groups = [
        f"{manager}: {', '.join(map(str, names))}"
        for manager, names in packages.items()
        if isinstance(names, list) and names
    ]
    return short_line("  ".join(groups), width)


def _plain(value: Value, width: int) -> str:
    """The address of a resource, pairs for maps, commas for lists of words, else the value."""
    match value:
        case {"address": str() as address, "id": _, **others} if not others:
            return address  # a resource is known by its address
        case dict() if value:
            return short_line(", ".join(f"{key} = {short(item, width)}" for key, item in value.items()), width)
        case list() if value and all(isinstance(item, (str, int, float)) for item in value):
            return short_line(", ".join(short(item, width) for item in value), width)
        case _:
            return short(value, width)


def _with_remark(text: Text, remark: str, width: int, style: str = "faint") -> Text:
    """Behind the value, or below it where that leaves no room."""
    if not remark:
        return text
    fits = len(text.plain.rpartition("\n")[2]) + len(remark) + 4 <= width
    return text.append("" if fits else "\n").append(f"  ({remark})", style=style)
