"""Warm pools: what was handed out, and how the pools stand; as JSON documents, and for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.state import ResourceRecord, Taken
from nexus.render.documents import FORMAT_VERSION, Json, taken_to_json
from nexus.render.operating import moment
from nexus.render.values import duration, plural
from nexus.workflows.pools import InUse, Member, PoolStanding, Readiness
from nexus.workflows.taking import TakenSandbox

_STYLES = {Readiness.READY: "ok", Readiness.PAUSED: "faint", Readiness.UNFINISHED: "warning", Readiness.ENDED: "error"}


def handed_to_json(found: TakenSandbox) -> Json:
    sandbox = found.sandbox
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "pool": str(found.pool),
        "sandbox_id": sandbox.id,
        "address": str(found.record.address),
        "template": sandbox.template,
        "urls": dict(found.urls),
        "expires_at": moment(sandbox.expires_at),
        "taken": _whose_to_json(found.record),
        "ready": found.ready,
    }


def handed_text(found: TakenSandbox, now: datetime) -> str:
    left = max((found.sandbox.expires_at - now).total_seconds(), 0)
    urls = "".join(f"  {url} leads to its port {name}\n" for name, url in found.urls.items())
    rest = plural(found.ready, "more stands ready", "more stand ready") if found.ready else "no more stand ready"
    return (
        f"{found.record.address} is yours\n"
        f"  id {found.sandbox.id}, its time ends in {duration(left)}\n"
        f"{urls}"
        f"  nexus shell {found.sandbox.id} opens a terminal in it, nexus exec {found.sandbox.id} -- runs a command\n"
        f"In {found.pool}, {rest}."
    )


def pools_to_json(found: Sequence[PoolStanding]) -> Json:
    return {"format_version": FORMAT_VERSION, "pools": [_pool_to_json(item) for item in found]}


def _pool_to_json(item: PoolStanding) -> Json:
    return {
        "address": str(item.address),
        "size": item.pool.size,
        "max_age": item.pool.max_age,
        "ready": item.ready,
        "members": [_member_to_json(member) for member in item.members],
        "taken": [_in_use_to_json(taken) for taken in item.taken],
    }


def _member_to_json(member: Member) -> Json:
    return {
        "address": str(member.address),
        "sandbox_id": member.id,
        "status": member.readiness.value,
        "created_at": member.created_at,
        "expires_at": member.expires_at,
    }


def _in_use_to_json(item: InUse) -> Json:
    return {
        "address": str(item.address),
        "sandbox_id": item.id,
        "status": item.status,
        "expires_at": item.expires_at,
        "taken": taken_to_json(item.taken),
    }


def _whose_to_json(record: ResourceRecord) -> Json | None:
    return None if record.taken is None else taken_to_json(record.taken)


def print_pools(console: Console, found: Sequence[PoolStanding], now: datetime) -> None:
    if not found:
        console.print("The project has no pools: none of its sandboxes says pool:.")
    for item in found:
        age = f", none older than {duration(item.pool.max_age)}" if item.pool.max_age else ""
        console.print(Text.assemble((str(item.address), "address"), f"  {item.ready} of {item.pool.size} ready{age}"))
        if item.members or item.taken:
            console.print(_table(item, now))


def _table(pool: PoolStanding, now: datetime) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("place", "status", "id", "ends", "taken"):
        table.add_column(name)
    for member in pool.members:
        status = Text(member.readiness.value, style=_STYLES[member.readiness])
        table.add_row(member.address.key, status, member.id, _end(member.expires_at, now), "-")
    for item in pool.taken:
        table.add_row("-", Text("taken"), item.id, _end(item.expires_at, now), _whose(item.taken, now))
    return table


def _end(at: str | None, now: datetime) -> str:
    return "-" if at is None else f"in {duration(max((datetime.fromisoformat(at) - now).total_seconds(), 0))}"


def _whose(taken: Taken, now: datetime) -> str:
    if not taken.by:
        return "by somebody"
    ago = duration(max((now - datetime.fromisoformat(taken.at)).total_seconds(), 0))
    return f"by {taken.by}, {ago} ago{f': {taken.purpose}' if taken.purpose else ''}"


def ended_to_json(record: ResourceRecord) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox_id": record.id,
        "address": str(record.address),
        "taken": _whose_to_json(record),
    }
