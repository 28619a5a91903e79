"""Live sandboxes, executions and logs: as JSON documents with the published field names, and for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.model.addresses import Address, AddressError
from nexus.model.diagnostics import Diagnostic
from nexus.providers.operating import Executed, LiveSandbox, LogEntry, Usage
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.values import duration, size

STATUS_STYLES = {"running": "ok", "paused": "warning"}
_SOURCES: Final = ("source", "event_type", "service", "logger")
_SYSTEM: Final = "system"
_ABOUT_PROCESSES: Final = frozenset({"process_start", "process_end"})
_FOR_MACHINES: Final = frozenset(
    {*_SOURCES, "operation_id", "traceID", "instanceID", "source_type", "teamID", "envID", "sandboxID"}
)
"""Fields of a line that tell people nothing."""
_LONGEST_FIELD: Final = 60
_SHELL: Final = "/bin/bash -l -c "
LEVEL_STYLES = {"error": "error", "warn": "warning", "debug": "faint"}


def execution_to_json(
    executed: Executed,
    problem: Diagnostic | None,
    *,
    execution_id: str,
    sandbox_id: str,
    address: str,
    language: str,
    env_vars_used: int,
    timeout: float | None,
) -> Json:
    """How code ended, and what is wrong if it did not end well. ``status`` is completed, failed or timeout."""
    status = "timeout" if executed.timed_out else "completed" if executed.exit_code == 0 else "failed"
    return {
        "format_version": FORMAT_VERSION,
        "success": status == "completed",
        "code": None if problem is None else problem.error_code,
        "hint": None if problem is None else problem.hint,
        "execution_id": execution_id,
        "sandbox_id": sandbox_id,
        "address": address or None,
        "output": executed.stdout,
        "error": executed.stderr or None,
        "exit_code": executed.exit_code,
        "status": status,
        "language": language,
        "env_vars_used": env_vars_used,
        "timeout": timeout,
        "execution_time": round(executed.seconds, 3),
        "memory_used": None if executed.peak_memory is None else megabytes(executed.peak_memory),
        "cpu_time": None if executed.cpu_seconds is None else round(executed.cpu_seconds, 3),
    }


def megabytes(count: float) -> str:
    return f"{count / 1_000_000:.1f} MB"


def list_to_json(
    sandboxes: Sequence[LiveSandbox],
    usage: Mapping[str, Usage],
    last_executions: Mapping[str, datetime],
    *,
    total: int,
    running: int,
    stopped: int,
    now: datetime,
) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandboxes": [_live_to_json(item, usage.get(item.id), last_executions.get(item.id), now) for item in sandboxes],
        "total_count": total,
        "running_count": running,
        "stopped_count": stopped,
    }


def _live_to_json(item: LiveSandbox, usage: Usage | None, last_execution: datetime | None, now: datetime) -> Json:
    return {
        "id": item.id,
        "name": display_name(item),
        "address": item.address or None,
        "project": item.project or None,
        "environment": item.environment or None,
        "template": item.template,
        "status": item.status,
        "uptime": uptime(item, now),
        "created_at": moment(item.started_at),
        "expires_at": moment(item.expires_at),
        "last_activity": moment(last_activity(item, last_execution)),
        "cpus": item.cpus,
        "memory_limit": f"{item.memory_mib} MiB",
        "resource_usage": None
        if usage is None
        else {"cpu_percent": round(usage.cpu_percent, 1), "memory_used": megabytes(usage.memory_used)},
        "metadata": dict(item.metadata),
    }


def display_name(item: LiveSandbox) -> str:
    """What a person calls it: the name in its manifest, else what its metadata calls it, else its id."""
    try:
        address = Address.parse(item.address)
    except AddressError:
        return item.metadata.get("name") or item.id
    return address.name if address.key is None else f"{address.name}[{address.key}]"


def template_name(item: LiveSandbox) -> str:
    """As a manifest has it: ``base`` of the catalogue, ``tools`` of a project's own."""
    return item.template.rpartition("--")[2].removeprefix("nexus-")


def sandbox_head(sandbox: LiveSandbox) -> Json:
    """How the document of whatever was done to one sandbox begins."""
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox_id": sandbox.id,
        "name": display_name(sandbox),
        "address": sandbox.address or None,
    }


def uptime(item: LiveSandbox, now: datetime) -> int:
    """Seconds since it was started last; of a paused one, until it was paused."""
    end = now if item.status == "running" else item.expires_at
    return max(round((end - item.started_at).total_seconds()), 0)


def last_activity(item: LiveSandbox, last_execution: datetime | None) -> datetime:
    """The end of the last thing that nexus ran in it; its start where there was none since, or nobody could look."""
    return item.started_at if last_execution is None else max(item.started_at, last_execution)


def moment(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_list(console: Console, sandboxes: Sequence[LiveSandbox], now: datetime, *, with_project: bool) -> None:
    """A table, a sandbox a row. ``with_project`` where they may be of several."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("NAME", style="address", overflow="fold")
    table.add_column("STATUS")
    table.add_column("TEMPLATE", overflow="fold")
    table.add_column("ID", no_wrap=True)
    table.add_column("AGE", justify="right", no_wrap=True)
    table.add_column("ENDS IN", justify="right", no_wrap=True)
    if with_project:
        table.add_column("PROJECT", overflow="fold")
    for item in sandboxes:
        left = (item.expires_at - now).total_seconds()
        row = [
            Text(display_name(item)),
            Text(item.status, style=STATUS_STYLES.get(item.status, "")),
            Text(template_name(item)),
            Text(item.id),
            Text(duration((now - item.started_at).total_seconds())),
            Text(duration(max(left, 0)) if item.status == "running" else "–"),
        ]
        if with_project:
            row.append(Text(f"{item.project}/{item.environment}" if item.project else "–"))
        table.add_row(*row)
    console.print(table)


def logs_to_json(
    sandbox_id: str,
    entries: Sequence[LogEntry],
    *,
    address: str,
    total: int,
    byte_count: int,
    oldest: datetime | None,
) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox_id": sandbox_id,
        "address": address or None,
        "logs": [log_entry_to_json(entry) for entry in entries],
        "total_lines": total,
        "log_file_size": size(byte_count),
        "oldest_entry": None if oldest is None else moment(oldest),
    }


def log_entry_to_json(entry: LogEntry) -> Json:
    """One entry: also a line of its own in ``logs --follow --json``."""
    return {
        "timestamp": moment(entry.time),
        "level": entry.level,
        "source": _source(entry),
        "message": entry.message,
        "fields": dict(entry.fields),
    }


def _source(entry: LogEntry) -> str:
    source = next((entry.fields[name] for name in _SOURCES if name in entry.fields), _SYSTEM)
    return _SYSTEM if source in _ABOUT_PROCESSES else source


def log_text(entry: LogEntry, *, timestamps: bool) -> Text:
    """One line for people."""
    text = Text()
    if timestamps:
        text.append(f"{moment(entry.time)} ", style="faint")
    text.append(f"{entry.level:<5} ", style=LEVEL_STYLES.get(entry.level, "faint"))
    source = f"{_source(entry):<6} │ "
    margin = " " * (len(text.plain) + len(source) - 2)
    first, *more = entry.message.rstrip("\n").split("\n")
    text.append(source, style="faint").append(first)
    for line in more:
        text.append(f"\n{margin}│ ", style="faint").append(line)
    told = ", ".join(_told(name, value) for name, value in entry.fields.items() if name not in _FOR_MACHINES)
    return text.append(f"  ({told})", style="faint") if told and _source(entry) == _SYSTEM else text


def _told(name: str, value: str) -> str:
    """Of a command its first line, without the shell that E2B's SDK runs it in; a status says itself what it is."""
    if name == "command":
        value = value.removeprefix(_SHELL).strip().partition("\n")[0]
    return _one_line(value) if name == "status" else f"{name} {_one_line(value)}"


def _one_line(value: str) -> str:
    text = " ".join(value.split())
    return text if len(text) <= _LONGEST_FIELD else text[: _LONGEST_FIELD - 1] + "…"
