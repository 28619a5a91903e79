"""Environments of a project: which there are, and how two of them differ; as JSON documents, and for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.environments import Standing
from nexus.planning import Difference
from nexus.render.documents import FORMAT_VERSION, Json, value_to_json
from nexus.render.fields import changed_field
from nexus.render.values import duration, local_time, plural


def standings_to_json(found: Sequence[Standing], now: datetime) -> Json:
    return {"format_version": FORMAT_VERSION, "environments": [_standing_to_json(item, now) for item in found]}


def _standing_to_json(item: Standing, now: datetime) -> Json:
    return {
        "name": item.name,
        "declared": item.declared,
        "branch": item.environment.branch or None,
        "serial": item.serial,
        "resources": item.resources,
        "last_used": _moment(item.last_used),
        "ttl": item.ttl,
        "ends": _moment(item.ends),
        "over": item.is_over(now),
    }


def _moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def print_standings(console: Console, found: Sequence[Standing], now: datetime) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("environment", "resources", "serial", "last used", "ends"):
        table.add_column(name, justify="right" if name in ("resources", "serial") else "left")
    for item in found:
        table.add_row(
            item.name if item.declared or item.environment.branch else f"{item.name} (not declared)",
            str(item.resources) if item.serial is not None else "-",
            "-" if item.serial is None else str(item.serial),
            local_time(_moment(item.last_used) or "") if item.last_used else "-",
            _end(item, now),
        )
    console.print(table)


def _end(item: Standing, now: datetime) -> Text:
    if item.ends is None:
        return Text("-" if item.ttl is None else f"{duration(item.ttl)} after an apply", style="faint")
    if item.is_over(now):
        return Text("over", style="warning")
    return Text(f"in {duration((item.ends - now).total_seconds())}")


def differences_to_json(first: str, second: str, found: Sequence[Difference]) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "first": first,
        "second": second,
        "differences": [
            {
                "address": str(item.address),
                "in_first": item.in_first,
                "in_second": item.in_second,
                "fields": [
                    {"path": field.path, "first": value_to_json(field.before), "second": value_to_json(field.after)}
                    for field in item.fields
                ],
            }
            for item in found
        ],
    }


def print_differences(console: Console, first: str, second: str, found: Sequence[Difference]) -> None:
    for item in found:
        if not item.in_second:
            console.print(Text.assemble(("- ", "delete"), (str(item.address), "address"), f"  only in {first}"))
        elif not item.in_first:
            console.print(Text.assemble(("+ ", "create"), (str(item.address), "address"), f"  only in {second}"))
        else:
            console.print(Text.assemble(("~ ", "update"), (str(item.address), "address")))
            for field in item.fields:
                console.print(Text(f"    {field.path}  ").append_text(changed_field(field, console.width)))
    what = plural(len(found), "resource") if found else "Nothing"
    verb = "differ" if len(found) > 1 else "differs"
    console.print(Text(f"{what} {verb} between {first} and {second}."))


def pruned_to_json(removed: Sequence[str], kept: Sequence[str]) -> Json:
    """``kept`` are those that are over, and could not be removed."""
    return {"format_version": FORMAT_VERSION, "removed": list(removed), "kept": list(kept)}
