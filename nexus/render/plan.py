"""A plan for people: one block a change, with its symbol, its cause, its fields and the line it comes from."""

from __future__ import annotations

from rich.console import Console
from rich.text import Text

from nexus.model.changes import Action, Change, Effect, FieldDiff, Plan
from nexus.render.values import short

SYMBOLS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.RUN: ">",
    Action.RESUME: "|>",
    Action.EXTEND: "=",
    Action.ADOPT: "<-",
    Action.FORGET: "x",
}

PHRASES = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.REPLACE: "to replace",
    Action.DELETE: "to delete",
    Action.RUN: "to run",
    Action.RESUME: "to resume",
    Action.EXTEND: "to extend",
    Action.ADOPT: "to adopt",
    Action.FORGET: "to forget",
}

EFFECTS = {
    Effect.REPLACE: "forces replacement",
    Effect.IN_PLACE: "in place",
    Effect.SETUP: "",
    Effect.REBUILD: "needs a new build",
    Effect.RERUN: "runs again",
    Effect.NONE: "",
}


def print_plan(console: Console, plan: Plan) -> None:
    """The changes, or one sentence when there are none."""
    if not plan.changes:
        console.print(Text("No changes. What is out there matches the manifest."))
        return
    for change in plan.changes:
        console.print(_change_text(change))
    console.print(Text(summary_line(plan)))


def summary_line(plan: Plan) -> str:
    parts = [f"{count} {PHRASES[Action(action)]}" for action, count in plan.summary.items()]
    return f"Plan: {', '.join(parts)}." if parts else "Plan: nothing to do."


def _change_text(change: Change) -> Text:
    style = str(change.action)
    text = Text(f"{SYMBOLS[change.action]:>4} ", style=style)
    text.append(str(change.address), style="address").append(f"  {change.action}", style=style)
    text.append(f" – {change.cause}\n")
    if change.data_loss:
        text.append("       deletes data that nothing else holds\n", style="warning")
    for diff in _sorted(change.fields):
        text.append(_field_text(diff, new=change.action in (Action.CREATE, Action.RUN)))
    if change.source is not None:
        text.append(f"       at {change.source}\n", style="faint")
    return text


def _sorted(fields: tuple[FieldDiff, ...]) -> list[FieldDiff]:
    return sorted(fields, key=lambda diff: diff.effect is not Effect.REPLACE)


def _field_text(diff: FieldDiff, *, new: bool) -> Text:
    text = Text("       ")
    if new and diff.before is None:
        text.append(f"{diff.path}: {short(diff.after)}")
    elif diff.note and diff.before is None and diff.after is None:
        text.append(diff.path)
    else:
        text.append(f"{diff.path}: {short(diff.before)} → {short(diff.after)}")
    remarks = [remark for remark in (diff.note, "" if new else EFFECTS[diff.effect]) if remark]
    if remarks:
        text.append(f"  # {', '.join(remarks)}", style="replace" if diff.effect is Effect.REPLACE else "faint")
    return text.append("\n")
