"""A plan for people: one block a change, with its sign, its cause, its fields and the line it comes from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.text import Text

from nexus.model.changes import Action, Change, Effect, FieldDiff, Plan
from nexus.render.bundles import OTHERS_DIFFER, Bundle, bundles
from nexus.render.consequences import consequences
from nexus.render.console import WIDEST, print_texts, wrapping_width
from nexus.render.fields import changed_field, new_field, sign_of

SYMBOLS: Final = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.RUN: ">",
    Action.RESUME: "|>",
    Action.EXTEND: "=",
    Action.ADOPT: "<-",
    Action.FORGET: "x",
    Action.RELEASE: "||",
    Action.REFRESH: "<~",
}

PHRASES: Final = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.REPLACE: "to replace",
    Action.DELETE: "to delete",
    Action.RUN: "to run",
    Action.RESUME: "to resume",
    Action.EXTEND: "to extend",
    Action.ADOPT: "to adopt",
    Action.FORGET: "to forget",
    Action.RELEASE: "to release",
    Action.REFRESH: "to take in",
}

_INDENT: Final = "      "
_WIDEST_NAME: Final = 28
_GAP: Final = 2


def print_plan(console: Console, plan: Plan, *, verbose: bool = False) -> None:
    """The changes, or one sentence when there are none. ``verbose`` shows every instance of a block by itself."""
    if not plan.changes:
        console.print(Text(nothing(plan)))
        print_texts(console, consequences(plan))
        return
    shown = bundles(plan.changes, fold=not verbose)
    print_texts(console, _spaced(_bundle_text(bundle, console.width, wrapping_width(console)) for bundle in shown))
    console.print(_summary_text(plan))
    print_texts(console, consequences(plan))


def summary_line(plan: Plan) -> str:
    return _summary_text(plan).plain


def _summary_text(plan: Plan) -> Text:
    if not plan.summary:
        return Text("Plan: nothing to do.", style="bold")
    parts = [Text(f"{count} {PHRASES[Action(action)]}", style=action) for action, count in plan.summary.items()]
    return Text("Plan: ", style="bold").append_text(Text(", ").join(parts)).append(".")


def nothing(plan: Plan) -> str:
    """The sentence for a plan without changes."""
    if plan.options.destroy:
        return "Nothing to destroy."
    if plan.options.refresh_only:
        return "Nothing to take in. What is out there is as the state has it."
    if plan.options.targets or plan.options.excludes:
        return "No changes in what was selected."
    return "No changes. What is out there matches the manifest."


def _spaced(blocks: Iterable[Text]) -> Iterator[Text]:
    """An empty line around every block of several lines; those of one line stand together."""
    was_long = False
    for number, block in enumerate(blocks):
        is_long = "\n" in block.plain
        if number and (is_long or was_long):
            yield Text()
        yield block
        was_long = is_long
    yield Text()


def _bundle_text(bundle: Bundle, width: int, wrapping: int | None) -> Text:
    change = bundle.first
    lines = [_head(bundle, width, wrapping)]
    if change.data_loss:
        lines.append(Text(f"{_INDENT}! deletes data that nothing else holds", style="warning"))
    lines += _field_lines(bundle, width)
    return Text("\n").join(lines)


def _head(bundle: Bundle, width: int, wrapping: int | None) -> Text:
    """``+ sandbox.web  create: not in state``, and at the right, where there is room, the line it comes from."""
    change = bundle.first
    style = str(change.action)
    text = Text.assemble((f"{SYMBOLS[change.action]:>4} ", style), (bundle.title, "address"))
    if bundle.others:
        text.append(f"  ×{bundle.count}", style=style)
    text.append(f"  {change.action}", style=style).append(":")
    text.append_text(_cause(change.cause, text.cell_len, wrapping))
    return text if change.source is None else _with_place(text, str(change.source), min(width, WIDEST))


def _cause(cause: str, column: int, wrapping: int | None) -> Text:
    """Behind what stands before it, and broken into lines below where it is too long for a terminal."""
    if wrapping is None or column + 1 + len(cause) <= wrapping:
        return Text(f" {cause}")
    first, *more = textwrap.wrap(cause, max(wrapping - column - 1, 12), break_long_words=False) or [""]
    below = textwrap.wrap(" ".join(more), max(wrapping - len(_INDENT), 20))
    return Text("\n".join([f" {first}", *(f"{_INDENT}{line}" for line in below)]))


def _with_place(text: Text, place: str, width: int) -> Text:
    gap = width - len(text.plain.rpartition("\n")[2]) - len(place)
    return text.append(" " * gap if gap >= _GAP else f"\n{_INDENT}at ").append(place, style="faint")


def _field_lines(bundle: Bundle, width: int) -> Iterator[Text]:
    change = bundle.first
    is_new = change.action is Action.CREATE or _all_new(change)
    fields = sorted(change.fields, key=lambda diff: diff.effect is not Effect.REPLACE)
    column = min(max((len(diff.path) for diff in fields), default=0), _WIDEST_NAME)
    indent = _INDENT if is_new else f"{_INDENT}  "
    room = max(width - len(indent) - column - _GAP, 24)
    for diff in fields:
        remark = f"  ({OTHERS_DIFFER})" if diff.path in bundle.own_fields else ""
        value = (new_field if is_new else changed_field)(diff, room - len(remark)).append(remark, style="faint")
        first, *more = value.split("\n")
        yield Text.assemble(_INDENT, "" if is_new else _sign(diff), f"{diff.path:<{column}}  ", first)
        for line in more:
            yield Text.assemble(indent, line)


def _sign(diff: FieldDiff) -> Text:
    sign, style = sign_of(diff)
    return Text(f"{sign} ", style=style)


def _all_new(change: Change) -> bool:
    """A step that runs for the first time has no fields to compare with."""
    return change.action is Action.RUN and all(diff.before is None for diff in change.fields)
