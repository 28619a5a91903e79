"""Sandboxes as the API shows them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from nexus.local.control_plane.network_wire import shown_network
from nexus.local.sandboxes.logbook import LogEntry
from nexus.local.sandboxes.metrics import Sample
from nexus.local.sandboxes.model import NetworkSettings, SandboxRecord

Json = dict[str, object]

# Old clients expect the field; it means nothing any more.
CLIENT_ID = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxWire:
    """Renders records. ``token`` derives a secret from a purpose and a sandbox id; nothing stores it."""

    envd_version: str
    disk_size_mb: int
    domain: str
    token: Callable[[str, str], str]

    def created(self, record: SandboxRecord) -> Json:
        """The answer to create, connect and resume."""
        return {**self.created_without_tokens(record), **self.tokens(record.id, record.network)}

    def created_without_tokens(self, record: SandboxRecord) -> Json:
        """What of it may be kept on disk."""
        body: Json = {
            "templateID": record.bootable.template_id,
            "sandboxID": record.id,
            "clientID": CLIENT_ID,
            "envdVersion": self.envd_version,
            "domain": self.domain,
        }
        if record.bootable.alias is not None:
            body["alias"] = record.bootable.alias
        return body

    def tokens(self, sandbox_id: str, network: NetworkSettings) -> Json:
        """``trafficAccessToken`` is there when the public may not reach the sandbox's ports."""
        traffic = None if network.allow_public_traffic else self.token("traffic", sandbox_id)
        return {"envdAccessToken": self.token("envd", sandbox_id), "trafficAccessToken": traffic}

    def listed(self, record: SandboxRecord) -> Json:
        body: Json = {
            "templateID": record.bootable.template_id,
            "sandboxID": record.id,
            "clientID": CLIENT_ID,
            "startedAt": wire_time(record.started_at),
            "endAt": wire_time(record.end_at),
            "cpuCount": record.bootable.cpu_count,
            "memoryMB": record.bootable.memory_mb,
            "diskSizeMB": self.disk_size_mb,
            "state": record.state.value,
            "envdVersion": self.envd_version,
            "metadata": dict(record.metadata),
            "volumeMounts": [{"name": mount.name, "path": mount.path} for mount in record.volume_mounts],
        }
        if record.bootable.alias is not None:
            body["alias"] = record.bootable.alias
        return body

    def detail(self, record: SandboxRecord) -> Json:
        body = self.listed(record)
        body["domain"] = self.domain
        body["envdAccessToken"] = self.token("envd", record.id)
        body["allowInternetAccess"] = record.network.internet
        body["network"] = shown_network(record.network)
        body["lifecycle"] = {
            "autoResume": record.lifecycle.auto_resume,
            "onTimeout": "pause" if record.lifecycle.auto_pause else "kill",
        }
        if record.pause_mode is not None:
            body["pauseMode"] = record.pause_mode.value
        return body


def wire_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def metric(sample: Sample) -> Json:
    usage = sample.usage
    return {
        "timestamp": wire_time(sample.at),
        "timestampUnix": int(sample.at.timestamp()),
        "cpuCount": usage.cpu_count,
        "cpuUsedPct": round(usage.cpu_used_pct, 2),
        "memUsed": usage.mem_used,
        "memTotal": usage.mem_total,
        "memCache": usage.mem_cache,
        "diskUsed": usage.disk_used,
        "diskTotal": usage.disk_total,
    }


def log_entry(entry: LogEntry) -> Json:
    return {
        "timestamp": wire_time(entry.at),
        "message": entry.message,
        "level": entry.level,
        "fields": dict(entry.fields),
    }


def log_line(entry: LogEntry) -> Json:
    """The older form: a line that is itself JSON."""
    line: Mapping[str, object] = {
        "timestamp": wire_time(entry.at),
        "level": entry.level,
        "message": entry.message,
        **entry.fields,
    }
    return {"timestamp": wire_time(entry.at), "line": json.dumps(line, ensure_ascii=False)}
