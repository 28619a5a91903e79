"""The history of an environment: as a JSON document, and for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.changes import Action
from nexus.model.state import Commit, HistoryEntry
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.values import local_time
from nexus.render.words import DONE

_SHORT = 9


def history_to_json(entries: Sequence[HistoryEntry]) -> Json:
    return {"format_version": FORMAT_VERSION, "history": [_entry_to_json(entry) for entry in entries]}


def _entry_to_json(entry: HistoryEntry) -> Json:
    commit = entry.commit
    return {
        "serial": entry.serial,
        "command": entry.command,
        "at": entry.at,
        "holder": entry.holder,
        "changes": dict(entry.changes),
        "complete": entry.complete,
        "commit": commit.id or None,
        "title": commit.title,
        "modified": commit.modified,
    }


def print_history(console: Console, entries: Sequence[HistoryEntry]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("#", justify="right")
    for name in ("when", "by", "what", "commit"):
        table.add_column(name)
    for entry in entries:
        table.add_row(
            Text(str(entry.serial), style="address"),
            local_time(entry.at),
            entry.holder,
            _what(entry),
            _commit(entry.commit),
        )
    console.print(table)


def _what(entry: HistoryEntry) -> Text:
    counts = ", ".join(f"{count} {_done(action)}" for action, count in entry.changes.items())
    text = Text(f"{entry.command}: {counts}" if counts else entry.command)
    if not entry.complete:
        text.append(" (not all)", style="warning")
    return text


def _done(action: str) -> str:
    """In words; an action that another version of nexus took may have none here."""
    return DONE[Action(action)] if action in {known.value for known in Action} else action


def _commit(commit: Commit) -> Text:
    if not commit.id:
        return Text("")
    text = Text.assemble((commit.id[:_SHORT], "address"), " ", commit.title)
    if commit.modified:
        text.append(" (and changes)", style="warning")
    return text
