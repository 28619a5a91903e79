"""Snapshots of sandboxes: templates whose layers were copied from a running sandbox instead of being built.

A snapshot keeps what its source was booted with: size, default user, working directory and start command. What a
sandbox of it gets of its own (metadata, environment, time to live) comes from its create call.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from nexus.local.builds.model import Build, BuildResult, BuildStatus, Surroundings, TagAssignment, Template
from nexus.local.builds.references import DEFAULT_TAG, NAMESPACE, Reference, parse_reference
from nexus.local.builds.registry import TemplateRegistry, new_build_id, new_template_id
from nexus.local.clock import Clock
from nexus.local.errors import ConflictError, InvalidRequestError
from nexus.local.limits.quotas import Quotas
from nexus.local.sandboxes.copying import DiskCopy, SandboxCopier
from nexus.local.sandboxes.fleet import Fleet
from nexus.local.sandboxes.model import SandboxRecord

MAX_PAGE = 100


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A snapshot under one of its tags."""

    template: Template
    tag: str

    @property
    def id(self) -> str:
        """What a sandbox is created from: the full name, or the template's id where there is none, and the tag."""
        return f"{next(iter(self.names), self.template.id)}:{self.tag}"

    @property
    def names(self) -> list[str]:
        return [f"{NAMESPACE}/{alias}" for alias in self.template.aliases]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotQuery:
    """What a list asks for. ``name`` is a name or id, with a tag or without."""

    sandbox_id: str | None = None
    name: str | None = None
    limit: int = MAX_PAGE
    next_token: str | None = None


@dataclass(frozen=True, slots=True)
class SnapshotPage:
    snapshots: Sequence[Snapshot]
    next_token: str | None


class SnapshotService:
    def __init__(
        self, *, fleet: Fleet, copier: SandboxCopier, registry: TemplateRegistry, quotas: Quotas, clock: Clock
    ) -> None:
        self._fleet = fleet
        self._copier = copier
        self._registry = registry
        self._quotas = quotas
        self._clock = clock
        self._to_be: Counter[str] = Counter()

    async def create(self, sandbox_id: str, name: str | None) -> Snapshot:
        """Snapshot a running sandbox, which goes on afterwards. The same name again adds to the same template.

        Raises InvalidRequestError for an unusable name, NotFoundError for a sandbox that does not run.
        """
        reference = None if name is None else _own_name(name)
        live = self._fleet.find_running(sandbox_id)
        if live.transition is not None:
            raise ConflictError(f"Sandbox '{live.id}' cannot be snapshotted while in '{live.transition}' state")
        alias, tag = (None, DEFAULT_TAG) if reference is None else (reference.name, reference.tag)
        template_id = new_template_id()
        with self._room(alias or template_id):
            async with self._copier.copied(live, "snapshotting") as copy:
                template = await self._registry.add_snapshot(alias, self._build_of(copy, template_id, tag))
        live.logbook.note(self._clock.now(), "Sandbox snapshotted", template=template.id)
        return Snapshot(template, tag)

    def list(self, query: SnapshotQuery) -> SnapshotPage:
        """Newest first; a snapshot with several tags is shown under the one that was assigned last."""
        found = [snapshot for template in self._registry.snapshots() if (snapshot := self._shown(template, query))]
        if query.next_token is not None:
            cursor = _parse_token(query.next_token)
            found = [snapshot for snapshot in found if _place(snapshot) < cursor]
        page = found[: query.limit]
        return SnapshotPage(page, _token(page[-1]) if len(found) > len(page) and page else None)

    @contextlib.contextmanager
    def _room(self, name: str) -> Iterator[None]:
        """Room for the snapshot of that alias or id, held while it is made; one that is there needs none.

        Raises TooManyError.
        """
        snapshots = self._registry.snapshots()
        present = {known for template in snapshots for known in (template.id, template.alias)}
        to_be = self._to_be.keys() - present
        if name not in present | to_be:
            self._quotas.check_snapshots(len(snapshots) + len(to_be))
        self._to_be[name] += 1
        try:
            yield
        finally:
            self._to_be -= Counter([name])

    def _build_of(self, copy: DiskCopy, template_id: str, tag: str) -> Build:
        now = self._clock.now()
        return Build(
            id=new_build_id(),
            template_id=template_id,
            status=BuildStatus.READY,
            tags=(tag,),
            cpu_count=copy.record.bootable.cpu_count,
            memory_mb=copy.record.bootable.memory_mb,
            created_at=now,
            updated_at=now,
            finished_at=now,
            result=_result_of(copy.record, copy.layers),
            source_sandbox=copy.record.id,
        )

    def _shown(self, template: Template, query: SnapshotQuery) -> Snapshot | None:
        tags = dict(template.tags)
        if query.name is not None:
            name, wanted_tag = _named(query.name)
            if name not in (template.id, *template.aliases):
                return None
            if wanted_tag is not None:
                tags = {tag: assignment for tag, assignment in tags.items() if tag == wanted_tag}
        if query.sandbox_id is not None:
            sources = {build.id: build.source_sandbox for build in self._registry.builds_of(template.id)}
            source = query.sandbox_id.partition("-")[0]
            tags = {tag: item for tag, item in tags.items() if sources.get(item.build_id) == source}
        return Snapshot(template, max(tags, key=lambda tag: _age(tags[tag], tag))) if tags else None


def _own_name(name: str) -> Reference:
    try:
        reference = parse_reference(name)
    except InvalidRequestError as error:
        raise InvalidRequestError(f"Invalid name: {error.message}") from error
    if "/" in reference.name:
        raise InvalidRequestError(f"Invalid name: the namespace of '{name}' is not this engine's, which is {NAMESPACE}")
    return reference


def _named(text: str) -> tuple[str, str | None]:
    """Name or id, and the tag if one is given: unlike elsewhere, no tag means any."""
    reference = parse_reference(text)
    return reference.name, reference.tag if ":" in text else None


def _result_of(record: SandboxRecord, layers: tuple[str, ...]) -> BuildResult:
    bootable = record.bootable
    return BuildResult(
        layers=layers,
        surroundings=Surroundings(
            user=bootable.default_user, workdir=bootable.workdir, env=dict(bootable.template_env)
        ),
        start_cmd=bootable.start_cmd,
        ready_cmd=bootable.ready_cmd,
        # Nothing has tried the start command on these files.
        checked="",
    )


def _age(assignment: TagAssignment, tag: str) -> tuple[datetime, str]:
    return assignment.at, tag


def _place(snapshot: Snapshot) -> tuple[datetime, str]:
    return snapshot.template.created_at, snapshot.template.id


def _token(snapshot: Snapshot) -> str:
    at, template_id = _place(snapshot)
    return base64.urlsafe_b64encode(json.dumps([at.isoformat(), template_id]).encode()).decode()


def _parse_token(token: str) -> tuple[datetime, str]:
    try:
        at, template_id = json.loads(base64.urlsafe_b64decode(token.encode()))
        moment = datetime.fromisoformat(at)
        if moment.tzinfo is None or not isinstance(template_id, str):
            raise ValueError("incomplete token")
    except (ValueError, TypeError, binascii.Error):
        raise InvalidRequestError("Invalid next token") from None
    return moment, template_id
