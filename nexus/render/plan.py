"""A plan for people: one block a change, with its sign, its cause, its fields and the line it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from rich.console import Console
from rich.text import Text

from nexus.model.changes import Action, Change, Effect, Plan
from nexus.render.console import print_texts
from nexus.render.fields import changed_field, new_field, short_line
from nexus.render.values import plural

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
_FOLD_FROM: Final = 3
_KEYS_SHOWN: Final = 8


def print_plan(console: Console, plan: Plan, *, verbose: bool = False) -> None:
    """The changes, or one sentence when there are none. ``verbose`` shows every instance of a block by itself."""
    if not plan.changes:
        console.print(Text(nothing(plan)))
        return
    shown = bundles(plan.changes, fold=not verbose)
    print_texts(console, (_bundle_text(bundle, console.width) for bundle in shown))
    console.print(Text(summary_line(plan), style="bold"))


def summary_line(plan: Plan) -> str:
    parts = [f"{count} {PHRASES[Action(action)]}" for action, count in plan.summary.items()]
    return f"Plan: {', '.join(parts)}." if parts else "Plan: nothing to do."


def nothing(plan: Plan) -> str:
    """The sentence for a plan without changes."""
    if plan.options.destroy:
        return "Nothing to destroy."
    if plan.options.refresh_only:
        return "Nothing to take in. What is out there is as the state has it."
    if plan.options.targets or plan.options.excludes:
        return "No changes in what was selected."
    return "No changes. What is out there matches the manifest."


@dataclass(frozen=True, slots=True)
class Bundle:
    """A change, and others of the same block that change the same fields of other instances."""

    first: Change
    others: Sequence[Change] = ()


def bundles(changes: Sequence[Change], *, fold: bool) -> Iterable[Bundle]:
    """The changes in their order. With ``fold``, three and more instances with the same fields are one."""
    groups: dict[object, list[Change]] = {}
    for change in changes:
        likeness = (change.address.group, change.action, change.cause, tuple(diff.path for diff in change.fields))
        groups.setdefault(likeness if fold and change.address.key is not None else change.address, []).append(change)
    for members in groups.values():
        if len(members) < _FOLD_FROM:
            yield from (Bundle(change) for change in members)
        else:
            first, *others = sorted(members, key=lambda change: change.address)
            yield Bundle(first, others)


def _bundle_text(bundle: Bundle, width: int) -> Text:
    change = bundle.first
    style = str(change.action)
    text = Text.assemble((f"{SYMBOLS[change.action]:>4} ", style))
    text.append(str(change.address), style="address")
    text.append(f"  {change.action}", style=style).append(f": {change.cause}\n")
    if change.data_loss:
        text.append(f"{_INDENT}deletes data that nothing else holds\n", style="warning")
    text.append_text(_fields_text(change, width))
    if bundle.others:
        text.append(f"{_INDENT}{short_line(others_line(bundle), width - len(_INDENT))}\n", style="faint")
    if change.source is not None:
        text.append(f"{_INDENT}at {change.source}\n", style="faint")
    return text


def _fields_text(change: Change, width: int) -> Text:
    is_new = change.action is Action.CREATE or _all_new(change)
    fields = sorted(change.fields, key=lambda diff: diff.effect is not Effect.REPLACE)
    column = min(max((len(diff.path) for diff in fields), default=0), _WIDEST_NAME)
    room = max(width - len(_INDENT) - column - 3, 40)
    text = Text()
    for diff in fields:
        value = new_field(diff, room) if is_new else changed_field(diff, room)
        lines = value.split("\n")
        text.append(f"{_INDENT}{diff.path:<{column}}  ").append_text(lines[0]).append("\n")
        for line in lines[1:]:
            text.append(_INDENT).append_text(line).append("\n")
    return text


def _all_new(change: Change) -> bool:
    """A step that runs for the first time has no fields to compare with."""
    return change.action is Action.RUN and all(diff.before is None for diff in change.fields)


def others_line(bundle: Bundle) -> str:
    """How many instances a bundle stands for besides its first, which, and which of their fields have other values."""
    keys = ", ".join(f"[{change.address.key}]" for change in bundle.others[:_KEYS_SHOWN])
    more = ", …" if len(bundle.others) > _KEYS_SHOWN else ""
    of_their_own = ", ".join(
        diff.path
        for number, diff in enumerate(bundle.first.fields)
        if any(other.fields[number] != diff for other in bundle.others)
    )
    unlike = f", but for {of_their_own}" if of_their_own else ""
    return f"and {plural(len(bundle.others), 'instance')} more like it{unlike}: {keys}{more}"
