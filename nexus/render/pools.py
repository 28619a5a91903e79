"""Warm pools: what was handed out, and how the pools stand; as JSON documents, and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.pools import InUse, Member, PoolStanding, Readiness
from nexus.model.state import ResourceRecord, Taken
from nexus.providers.operating import LiveSandbox
from nexus.render.documents import FORMAT_VERSION, Json, taken_to_json
from nexus.render.operating import moment
from nexus.render.values import duration

_STYLES = {Readiness.READY: "ok", Readiness.PAUSED: "faint", Readiness.UNFINISHED: "warning", Readiness.ENDED: "error"}


def handed_to_json(sandbox: LiveSandbox, record: ResourceRecord, *, urls: Mapping[str, str], ready: int) -> Json:
    """``ready`` is how many the pool has left."""
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "pool": str(record.address.group),
        "sandbox_id": sandbox.id,
        "address": str(record.address),
        "template": sandbox.template,
        "urls": dict(urls),
        "expires_at": moment(sandbox.expires_at),
        "taken": _whose_to_json(record),
        "ready": ready,
    }


def handed_text(sandbox: LiveSandbox, now: datetime, *, urls: Mapping[str, str], ready: int) -> str:
    left = max((sandbox.expires_at - now).total_seconds(), 0)
    lines = [
        f"{sandbox.address} is yours",
        f"  id {sandbox.id}, its time ends in {duration(left)}",
        *(f"  {url} leads to its port {name}" for name, url in urls.items()),
        f"  nexus shell {sandbox.id} opens a terminal in it, nexus exec {sandbox.id} -- COMMAND runs a command",
        f"Of its pool, {ready} more {'stands' if ready == 1 else 'stand'} ready.",
    ]
    return "\n".join(lines)


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
