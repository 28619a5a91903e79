"""Templates and builds on disk, one durable JSON document each. Steps are not kept; what they led to is."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from nexus.local.builds.model import (
    Build,
    BuildResult,
    BuildStatus,
    FailureReason,
    Surroundings,
    TagAssignment,
    Template,
)
from nexus.local.documents import DocumentWriter, clear_leftovers, read_document, remove_document

FORMAT = 1
_log = logging.getLogger(__name__)


class TemplateRecords:
    """The folders of templates, builds, and build logs."""

    def __init__(self, folder: Path) -> None:
        self._templates = folder / "templates"
        self._builds = folder / "builds"
        self._documents = DocumentWriter()

    def open(self) -> None:
        for folder in (self._templates, self._builds):
            folder.mkdir(parents=True, exist_ok=True)
            clear_leftovers(folder)

    def load_templates(self) -> list[Template]:
        return [_decode_template(document) for document in self._read_all(self._templates)]

    def load_builds(self) -> list[Build]:
        return [_decode_build(document) for document in self._read_all(self._builds)]

    def log_file(self, build_id: str) -> Path:
        return self._builds / f"{build_id}.log"

    async def write_template(self, template: Template) -> None:
        await self._write(self._templates / f"{template.id}.json", _encode_template(template))

    async def write_build(self, build: Build) -> None:
        await self._write(self._builds / f"{build.id}.json", _encode_build(build))

    async def remove_template(self, template_id: str) -> None:
        await self._documents.remove(self._templates / f"{template_id}.json")

    async def remove_build(self, build_id: str) -> None:
        await self._documents.remove(self._builds / f"{build_id}.json")
        self.log_file(build_id).unlink(missing_ok=True)

    def forget_build(self, build_id: str) -> None:
        """Remove a build that belongs to no template, before anything else uses the records."""
        remove_document(self._builds / f"{build_id}.json")
        self.log_file(build_id).unlink(missing_ok=True)

    async def _write(self, path: Path, document: Mapping[str, object]) -> None:
        await self._documents.write(path, document)

    def _read_all(self, folder: Path) -> list[dict[str, object]]:
        found = []
        for path in sorted(folder.glob("*.json")):
            try:
                document = read_document(path)
                if document is not None and document.get("format") == FORMAT:
                    found.append(document)
                elif document is not None:
                    _log.error("%s has a format that is not known", path)
            except ValueError as error:
                _log.error("%s", error)
        return found


def _encode_template(template: Template) -> dict[str, object]:
    return {
        "format": FORMAT,
        "id": template.id,
        "alias": template.alias,
        "public": template.public,
        "created_at": template.created_at.isoformat(),
        "updated_at": template.updated_at.isoformat(),
        "tags": {tag: [item.build_id, item.at.isoformat()] for tag, item in template.tags.items()},
        "spawn_count": template.spawn_count,
        "last_spawned_at": _moment_text(template.last_spawned_at),
        "is_snapshot": template.is_snapshot,
    }


def _decode_template(document: Mapping[str, object]) -> Template:
    tags = document["tags"]
    assert isinstance(tags, dict)
    return Template(
        id=str(document["id"]),
        alias=_optional_text(document["alias"]),
        public=bool(document["public"]),
        created_at=_moment(document["created_at"]),
        updated_at=_moment(document["updated_at"]),
        tags={tag: TagAssignment(str(item[0]), _moment(item[1])) for tag, item in tags.items()},
        spawn_count=int(str(document["spawn_count"])),
        last_spawned_at=_optional_moment(document["last_spawned_at"]),
        is_snapshot=bool(document.get("is_snapshot", False)),
    )


def _encode_build(build: Build) -> dict[str, object]:
    return {
        "format": FORMAT,
        "id": build.id,
        "template_id": build.template_id,
        "status": build.status.value,
        "tags": list(build.tags),
        "cpu_count": build.cpu_count,
        "memory_mb": build.memory_mb,
        "created_at": build.created_at.isoformat(),
        "updated_at": build.updated_at.isoformat(),
        "finished_at": _moment_text(build.finished_at),
        "result": None if build.result is None else _encode_result(build.result),
        "reason": None if build.reason is None else {"message": build.reason.message, "step": build.reason.step},
        "source_sandbox": build.source_sandbox,
    }


def _decode_build(document: Mapping[str, object]) -> Build:
    tags, reason, result = document["tags"], document["reason"], document["result"]
    return Build(
        id=str(document["id"]),
        template_id=str(document["template_id"]),
        status=BuildStatus(str(document["status"])),
        tags=_texts(tags),
        cpu_count=int(str(document["cpu_count"])),
        memory_mb=int(str(document["memory_mb"])),
        created_at=_moment(document["created_at"]),
        updated_at=_moment(document["updated_at"]),
        finished_at=_optional_moment(document["finished_at"]),
        result=_decode_result(result) if isinstance(result, dict) else None,
        reason=(
            FailureReason(message=str(reason["message"]), step=_optional_text(reason["step"]))
            if isinstance(reason, dict)
            else None
        ),
        source_sandbox=_optional_text(document.get("source_sandbox")),
    )


def _encode_result(result: BuildResult) -> dict[str, object]:
    return {
        "layers": list(result.layers),
        "user": result.surroundings.user,
        "workdir": result.surroundings.workdir,
        "env": dict(result.surroundings.env),
        "start_cmd": result.start_cmd,
        "ready_cmd": result.ready_cmd,
        "checked": result.checked,
    }


def _decode_result(document: Mapping[str, object]) -> BuildResult:
    env = document["env"]
    assert isinstance(env, dict)
    return BuildResult(
        layers=_texts(document["layers"]),
        surroundings=Surroundings(
            user=str(document["user"]), workdir=_optional_text(document["workdir"]), env=dict(env)
        ),
        start_cmd=_optional_text(document["start_cmd"]),
        ready_cmd=_optional_text(document["ready_cmd"]),
        checked=str(document["checked"]),
    )


def _texts(value: object) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else ()


def _moment(value: object) -> datetime:
    return datetime.fromisoformat(str(value))


def _optional_moment(value: object) -> datetime | None:
    return None if value is None else _moment(value)


def _moment_text(value: datetime | None) -> str | None:
    return None if value is None else value.isoformat()


def _optional_text(value: object) -> str | None:
    return None if value is None else str(value)
