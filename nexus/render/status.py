"""One live sandbox in detail, and what all of them use: as JSON documents, and for people."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from nexus.providers.operating import LiveSandbox, NetworkRules, Surroundings, Usage
from nexus.render.documents import FORMAT_VERSION, Json
from nexus.render.operating import STATUS_STYLES, display_name, last_activity, megabytes, moment, template_name, uptime
from nexus.render.values import duration, local_time, plural, size

_UNKNOWN: Final = "–"
_NAME_WIDTH: Final = 14


def percentages(usage: Usage) -> Mapping[str, float]:
    """What alerts are about."""
    return {
        "cpu": round(usage.cpu_percent, 1),
        "memory": _share(usage.memory_used, usage.memory_total),
        "disk": _share(usage.disk_used, usage.disk_total),
    }


def _share(used: int, total: int) -> float:
    return round(100 * used / total, 1) if total else 0.0


def status_to_json(
    item: LiveSandbox,
    network: NetworkRules,
    usage: Usage | None,
    surroundings: Surroundings | None,
    *,
    start_command: str | None,
    alerts: Mapping[str, int],
    now: datetime,
) -> Json:
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "sandbox": {
            "id": item.id,
            "name": display_name(item),
            "address": item.address or None,
            "status": item.status,
            "template": item.template,
            "uptime": uptime(item, now),
            "created_at": moment(item.started_at),
            "expires_at": moment(item.expires_at),
            "last_activity": moment(last_activity(item, _last(surroundings))),
            "resource_usage": None if usage is None else _usage_to_json(usage, surroundings),
            "environment": None if surroundings is None else _environment_to_json(surroundings),
            "executions": None if surroundings is None else _executions_to_json(surroundings),
            "network": {
                "internet": network.internet,
                "allow": list(network.allow),
                "deny": list(network.deny),
            },
            "start_command": start_command,
            "alerts": [
                {"measured": name, "percent": percent, "threshold": threshold, "exceeded": exceeded}
                for name, percent, threshold, exceeded in _alerts(usage, alerts)
            ],
            "metadata": dict(item.metadata),
        },
    }


def _usage_to_json(usage: Usage, surroundings: Surroundings | None) -> Json:
    shares = percentages(usage)
    return {
        "measured_at": moment(usage.time),
        "cpus": usage.cpus,
        "cpu_percent": shares["cpu"],
        "memory_used": megabytes(usage.memory_used),
        "memory_limit": megabytes(usage.memory_total),
        "memory_percent": shares["memory"],
        "disk_used": megabytes(usage.disk_used),
        "disk_limit": megabytes(usage.disk_total),
        "disk_percent": shares["disk"],
        "network_io": None
        if surroundings is None
        else {"bytes_sent": surroundings.bytes_sent, "bytes_received": surroundings.bytes_received},
    }


def _environment_to_json(found: Surroundings) -> Json:
    return {
        "python_version": found.python_version,
        "pip_packages": found.pip_packages,
        "node_version": found.node_version,
        "env_vars": len(found.env_names),
        "env_names": list(found.env_names),
        "working_directory": found.home,
    }


def _executions_to_json(found: Surroundings) -> Json:
    counted = found.executions
    return {
        "total": counted.total,
        "successful": counted.total - counted.failed,
        "failed": counted.failed,
        "average_duration": round(counted.seconds / counted.total, 3) if counted.total else None,
    }


def print_status(
    console: Console,
    item: LiveSandbox,
    network: NetworkRules,
    usage: Usage | None,
    surroundings: Surroundings | None,
    *,
    start_command: str | None,
    alerts: Mapping[str, int],
    now: datetime,
) -> None:
    """One fact a line; alerts last, as they are what to act on."""
    rows: list[tuple[str, Text]] = [
        ("name", Text(display_name(item), style="address")),
        ("id", Text(item.id)),
        ("status", Text(item.status, style=STATUS_STYLES.get(item.status, ""))),
        ("template", Text(template_name(item))),
        ("uptime", Text(duration(uptime(item, now)))),
        ("ends", Text(_ends(item, now))),
        *((name, Text(text)) for name, text in _usage_rows(usage)),
        ("network", Text(_network(network))),
        *((name, Text(text)) for name, text in _inner_rows(surroundings)),
        ("last activity", Text(local_time(moment(last_activity(item, _last(surroundings)))))),
        ("start command", Text(start_command or _UNKNOWN)),
    ]
    for name, percent, threshold, exceeded in _alerts(usage, alerts):
        told = _UNKNOWN if percent is None else f"{percent:g} %"
        rows.append((f"alert: {name}", Text(f"{told} of {threshold} %", style="error" if exceeded else "ok")))
    table = Table.grid(padding=(0, 1))
    table.add_column(style="faint", no_wrap=True, min_width=_NAME_WIDTH)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(name, text)
    console.print(table)


def _usage_rows(usage: Usage | None) -> Iterator[tuple[str, str]]:
    if usage is None:
        yield "usage", "not measured"
        return
    shares = percentages(usage)
    yield "cpu", f"{shares['cpu']:g} % of {plural(usage.cpus, 'CPU')}"
    yield "memory", f"{size(usage.memory_used)} of {size(usage.memory_total)} ({shares['memory']:g} %)"
    yield "disk", f"{size(usage.disk_used)} of {size(usage.disk_total)} ({shares['disk']:g} %)"


def _inner_rows(found: Surroundings | None) -> Iterator[tuple[str, str]]:
    if found is None:
        return
    yield "traffic", f"{size(found.bytes_sent)} sent, {size(found.bytes_received)} received"
    python = f"Python {found.python_version} ({plural(found.pip_packages or 0, 'package')})"
    languages = [python] if found.python_version else []
    languages += [f"Node.js {found.node_version}"] if found.node_version else []
    yield "languages", ", ".join(languages) or _UNKNOWN
    yield "variables", ", ".join(found.env_names) or _UNKNOWN
    counted = found.executions
    yield "executions", f"{counted.total}, {counted.failed} of them failed" if counted.total else "none"


def _network(network: NetworkRules) -> str:
    parts = ["internet" if network.internet else "no internet"]
    parts += [f"allowed: {', '.join(network.allow)}"] if network.allow else []
    parts += [f"denied: {', '.join(network.deny)}"] if network.deny else []
    return "; ".join(parts)


def _ends(item: LiveSandbox, now: datetime) -> str:
    if item.status != "running":
        return "not while it is paused"
    left = max((item.expires_at - now).total_seconds(), 0)
    return f"in {duration(left)}, at {local_time(moment(item.expires_at))}"


def _last(found: Surroundings | None) -> datetime | None:
    return None if found is None else found.executions.last


def _alerts(usage: Usage | None, alerts: Mapping[str, int]) -> Iterator[tuple[str, float | None, int, bool]]:
    shares = {} if usage is None else percentages(usage)
    for name, threshold in sorted(alerts.items()):
        percent = shares.get(name)
        yield name, percent, threshold, percent is not None and percent >= threshold


def load_to_json(sandboxes: Sequence[LiveSandbox], usage: Mapping[str, Usage], now: datetime) -> Json:
    """The document of top."""
    return {
        "format_version": FORMAT_VERSION,
        "success": True,
        "measured_at": moment(now),
        "sandboxes": [
            {
                "id": item.id,
                "name": display_name(item),
                "address": item.address or None,
                "status": item.status,
                "uptime": uptime(item, now),
                "expires_at": moment(item.expires_at),
                "resource_usage": None if item.id not in usage else _usage_to_json(usage[item.id], None),
            }
            for item in sandboxes
        ],
    }


def load_table(sandboxes: Sequence[LiveSandbox], usage: Mapping[str, Usage], now: datetime) -> Table:
    """A sandbox a row, as they were given."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("NAME", style="address", overflow="fold")
    table.add_column("STATUS")
    for name in ("CPU", "MEMORY", "DISK", "UPTIME", "ENDS IN"):
        table.add_column(name, justify="right", no_wrap=True)
    for item in sandboxes:
        measured = usage.get(item.id)
        left = (item.expires_at - now).total_seconds()
        table.add_row(
            Text(display_name(item)),
            Text(item.status, style=STATUS_STYLES.get(item.status, "")),
            *(Text(text) for text in _load_cells(measured)),
            Text(duration(uptime(item, now))),
            Text(duration(max(left, 0)) if item.status == "running" else _UNKNOWN),
        )
    return table


def _load_cells(usage: Usage | None) -> tuple[str, str, str]:
    if usage is None:
        return (_UNKNOWN, _UNKNOWN, _UNKNOWN)
    shares = percentages(usage)
    return (
        f"{shares['cpu']:.1f} %",
        f"{size(usage.memory_used)} ({shares['memory']:.0f} %)",
        f"{size(usage.disk_used)} ({shares['disk']:.0f} %)",
    )
