"""Templates and builds as the API shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nexus.local.builds.build_log import BuildLogEntry
from nexus.local.builds.model import Build, BuildStatus, Template
from nexus.local.builds.service import DEFAULT_CPU, DEFAULT_MEMORY
from nexus.local.control_plane.sandbox_wire import Json, wire_time

_REASON_ENTRIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateWire:
    envd_version: str
    disk_size_mb: int

    def registered(self, template: Template, build: Build) -> Json:
        return {
            "templateID": template.id,
            "buildID": build.id,
            "public": template.public,
            "names": list(template.aliases),
            "aliases": list(template.aliases),
            "tags": list(build.tags),
        }

    def template(self, template: Template, builds: Sequence[Build], current: Build | None) -> Json:
        """``builds`` newest first; ``current`` is the one that sandboxes use."""
        latest = builds[0] if builds else None
        shown = current or latest
        return {
            "templateID": template.id,
            "buildID": shown.id if shown else "",
            "cpuCount": latest.cpu_count if latest else DEFAULT_CPU,
            "memoryMB": latest.memory_mb if latest else DEFAULT_MEMORY,
            "diskSizeMB": self.disk_size_mb,
            "public": template.public,
            "aliases": list(template.aliases),
            "names": list(template.aliases),
            "createdAt": wire_time(template.created_at),
            "updatedAt": wire_time(template.updated_at),
            "createdBy": None,
            "lastSpawnedAt": wire_time(template.last_spawned_at) if template.last_spawned_at else None,
            "spawnCount": template.spawn_count,
            "buildCount": len(builds),
            "envdVersion": self.envd_version,
            "buildStatus": (latest.status if latest else BuildStatus.READY).value,
        }

    def build(self, build: Build) -> Json:
        body: Json = {
            "buildID": build.id,
            "status": build.status.value,
            "createdAt": wire_time(build.created_at),
            "updatedAt": wire_time(build.updated_at),
            "cpuCount": build.cpu_count,
            "memoryMB": build.memory_mb,
            "diskSizeMB": self.disk_size_mb,
            "envdVersion": self.envd_version,
        }
        if build.finished_at is not None:
            body["finishedAt"] = wire_time(build.finished_at)
        return body

    def status(self, build: Build, shown: Sequence[BuildLogEntry], every: Sequence[BuildLogEntry]) -> Json:
        body: Json = {
            "templateID": build.template_id,
            "buildID": build.id,
            "status": build.status.value,
            "logs": [],
            "logEntries": [build_entry(entry) for entry in shown],
        }
        if build.reason is not None:
            step = build.reason.step
            reason: Json = {
                "message": build.reason.message,
                "logEntries": [build_entry(entry) for entry in every if step is not None and entry.step == step][
                    -_REASON_ENTRIES:
                ],
            }
            if step is not None:
                reason["step"] = step
            body["reason"] = reason
        return body

    def tags(self, template: Template) -> list[Json]:
        return [
            {"tag": tag, "buildID": assignment.build_id, "createdAt": wire_time(assignment.at)}
            for tag, assignment in sorted(template.tags.items())
        ]


def build_entry(entry: BuildLogEntry) -> Json:
    body: Json = {"timestamp": wire_time(entry.at), "message": entry.message, "level": entry.level}
    if entry.step is not None:
        body["step"] = entry.step
    return body
