"""What stop, start, extend and delete did: as JSON documents, and in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from nexus.costs import E2B_RATES
from nexus.model.diagnostics import Diagnostic
from nexus.providers.operating import Contents, Executions, LiveSandbox
from nexus.providers.pricing import Spent, spent
from nexus.render.costs import rates_to_json
from nexus.render.documents import FORMAT_VERSION, Json, diagnostics_to_json
from nexus.render.operating import display_name, megabytes, moment, sandbox_head
from nexus.render.values import duration, plural, size


def stop_to_json(before: LiveSandbox, executions: Executions | None, now: datetime, *, billed: bool) -> Json:
    """``executions`` is None where it was paused already."""
    used = spent(before, now)
    return {
        **sandbox_head(before),
        "previous_status": before.status,
        "current_status": "paused",
        "uptime": round(used.seconds),
        "final_resource_usage": {
            "cpu_hours": round(used.cpu_hours, 6),
            "memory_hours": round(used.memory_hours, 6),
            "total_executions": None if executions is None else executions.total,
        },
        "stopped_at": moment(before.expires_at if executions is None else now),
        "data_preserved": True,
        "cost": cost_to_json(used, billed=billed),
    }


def stop_text(before: LiveSandbox, executions: Executions | None, now: datetime, *, billed: bool) -> str:
    name = display_name(before)
    if executions is None:
        return f"{name} was paused already"
    used = spent(before, now)
    return (
        f"{name} is paused: its memory and its files are kept\n"
        f"  it ran for {duration(used.seconds)}: {used.cpu_hours:.3f} vCPU hours, "
        f"{used.memory_hours:.3f} GiB hours of memory, {plural(executions.total, 'execution')}\n"
        f"  {_cost(used.dollars, billed=billed)}"
    )


def moved_to_json(before: LiveSandbox, after: LiveSandbox) -> Json:
    """The document of start and of extend."""
    return {
        **sandbox_head(after),
        "previous_status": before.status,
        "current_status": after.status,
        "previous_expires_at": moment(before.expires_at) if before.status == "running" else None,
        "expires_at": moment(after.expires_at),
    }


def start_text(before: LiveSandbox, after: LiveSandbox, now: datetime) -> str:
    verb = "was running already" if before.status == "running" else "runs again"
    return f"{display_name(after)} {verb}; {_left(after, now)}"


def extend_text(after: LiveSandbox, now: datetime) -> str:
    return f"{display_name(after)}: {_left(after, now)}"


def _left(sandbox: LiveSandbox, now: datetime) -> str:
    left = max((sandbox.expires_at - now).total_seconds(), 0)
    return f"its time ends in {duration(left)}, at {moment(sandbox.expires_at)}"


def deleted_to_json(sandbox: LiveSandbox, contents: Contents | None, at: datetime, *, billed: bool) -> Json:
    """One deleted sandbox, within the document."""
    used = spent(sandbox, at)
    return {
        "sandbox_id": sandbox.id,
        "name": display_name(sandbox),
        "address": sandbox.address or None,
        "previous_status": sandbox.status,
        "deleted_at": moment(at),
        "resources_cleaned": None
        if contents is None
        else {
            "files_removed": contents.files,
            "disk_space_freed": megabytes(contents.disk_used),
            "processes_terminated": contents.processes,
        },
        "total_executions": None if contents is None else contents.executions.total,
        "backup_created": False,
        "total_cost": round(used.dollars, 6),
        "cost": cost_to_json(used, billed=billed),
    }


def deletion_to_json(deleted: Sequence[Json], problems: Sequence[Diagnostic]) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "success": not problems,
        "sandboxes": list(deleted),
        "diagnostics": diagnostics_to_json(problems),
    }


def deleted_text(sandbox: LiveSandbox, contents: Contents | None, at: datetime, *, billed: bool) -> str:
    text = f"{display_name(sandbox)} ({sandbox.id}) is deleted"
    if contents is not None:
        files = plural(contents.files, "file")
        text += f": {files}, {size(contents.disk_used)} of disk, {plural(contents.processes, 'process', 'processes')}"
    return f"{text}\n  {_cost(spent(sandbox, at).dollars, billed=billed)}"


def cost_to_json(used: Spent, *, billed: bool) -> Json:
    """``billed`` is false on the local engine, where nothing costs anything: it is what E2B would charge."""
    return {
        "amount": round(used.dollars, 6),
        "currency": "USD",
        "billed": billed,
        "since": moment(used.since),
        "seconds": round(used.seconds, 3),
        "rates": rates_to_json(E2B_RATES),
    }


def _cost(dollars: float, *, billed: bool) -> str:
    verb = "since its last start it cost about" if billed else "at E2B, since its last start it would have cost about"
    return f"{verb} ${dollars:.4f} (public rates of {E2B_RATES.as_of.isoformat()})"
