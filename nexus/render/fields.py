"""One field of a plan as a person reads it: lists as what comes and goes, texts as their lines, maps as pairs."""

from __future__ import annotations

import difflib
from typing import Final

from rich.text import Text

from nexus.model.changes import Effect, FieldDiff
from nexus.model.values import Fingerprint, Sensitive, Value
from nexus.render.values import SENSITIVE, short

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


def new_field(diff: FieldDiff, width: int) -> Text:
    """A field of something that is to be made."""
    if diff.path == "uploads":
        return _with_remark(Text(_upload_paths(diff.after, width)), diff.note)
    if diff.path == "packages" and isinstance(diff.after, dict):
        return Text(_packages(diff.after, width))
    return _with_remark(Text(_plain(diff.after, width)), diff.note)


def changed_field(diff: FieldDiff, width: int) -> Text:
    """A field that differs, with what changing it does."""
    remarks = ", ".join(remark for remark in (diff.note, EFFECTS[diff.effect]) if remark)
    style = "replace" if diff.effect is Effect.REPLACE else "faint"
    if diff.path.startswith("uploads["):
        return _upload(diff, style, remarks)
    return _with_remark(_change(diff.before, diff.after, width), remarks, style)


def _upload(diff: FieldDiff, style: str, remarks: str) -> Text:
    mark = _mark(diff.before, diff.after)
    text = Text()
    if mark is not None:
        text.append(f"{mark[0]} ", style=mark[1])
    return text.append(remarks or "changed", style=style if diff.effect is Effect.REPLACE else "")


def _mark(before: Value, after: Value) -> tuple[str, str] | None:
    """The sign of what only comes or only goes."""
    if _is_nothing(before):
        return "+", "create"
    return ("-", "delete") if _is_nothing(after) else None


def _is_nothing(value: Value) -> bool:
    return value is None or value == [] or value == {}


def _change(before: Value, after: Value, width: int) -> Text:
    if isinstance(before, (Sensitive, Fingerprint)) and isinstance(after, (Sensitive, Fingerprint)):
        return Text(f"{SENSITIVE}, another value")
    if isinstance(before, list) and isinstance(after, list):
        return _list_change(before, after, width)
    if isinstance(before, str) and isinstance(after, str) and "\n" in before + after:
        return _text_change(before, after, width)
    if (mark := _mark(before, after)) is not None:
        return Text.assemble((f"{mark[0]} ", mark[1])).append(_plain(before if mark[0] == "-" else after, width - 2))
    half = max((width - 3) // 2, 20)
    left, right = _parting(_plain(before, _WHOLE), _plain(after, _WHOLE), half)
    left = short_line(left, half)
    return Text(left).append(" → ", style="faint").append(short_line(right, max(width - 3 - len(left), half)))


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
    for items, mark, style in ((gone, "-", "delete"), (new, "+", "create")):
        for item in items:
            if text:
                text.append("  ")
            text.append(f"{mark} ", style=style).append(_plain(item, width // 2))
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
        style = {"+": "create", "-": "delete"}.get(line[:1], "faint")
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
    """Pairs for maps, commas for lists of words, else the value."""
    match value:
        case dict() if value:
            return short_line(", ".join(f"{key} = {short(item, width)}" for key, item in value.items()), width)
        case list() if value and all(isinstance(item, (str, int, float)) for item in value):
            return short_line(", ".join(short(item, width) for item in value), width)
        case _:
            return short(value, width)


def _with_remark(text: Text, remark: str, style: str = "faint") -> Text:
    return text.append(f"  ({remark})", style=style) if remark else text
