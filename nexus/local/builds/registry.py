"""Templates by id and alias, their tags and builds: the source of what sandboxes are started from."""

from __future__ import annotations

import secrets
import string
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from nexus.local.builds.model import Build, BuildStatus, TagAssignment, Template
from nexus.local.builds.records import TemplateRecords
from nexus.local.builds.references import DEFAULT_TAG, Reference, parse_reference
from nexus.local.errors import EngineError, InvalidRequestError, NotFoundError
from nexus.local.sandboxes.model import Bootable

BASE = "base"
_BASE_CPU, _BASE_MEMORY = 2, 512
_BASE_MADE = datetime(2025, 1, 1, tzinfo=UTC)
_ID_LETTERS = string.ascii_lowercase + string.digits


class TemplateRegistry:
    """In memory, with every change written to disk before it is answered.

    The public template ``base`` is always there: no layers, the machine as the host gives it.
    """

    def __init__(self, records: TemplateRecords) -> None:
        self._records = records
        self._templates: dict[str, Template] = {}
        self._builds: dict[str, Build] = {}
        self.spawn_total = 0
        """Sandboxes started since the daemon began, of ``base`` too."""
        self.on_change: Callable[[], None] = lambda: None
        """Called when a template has changed or is gone."""

    def open(self) -> None:
        self._templates = {template.id: template for template in self._records.load_templates()}
        for build in self._records.load_builds():
            if build.template_id in self._templates:
                self._builds[build.id] = build
            else:
                # A crash between the two records of a new snapshot, or of a deleted template.
                self._records.forget_build(build.id)

    # Looking up

    def templates(self) -> list[Template]:
        """The templates that were built, newest first; ``base`` and snapshots are not among them."""
        return _newest_first(template for template in self._templates.values() if not template.is_snapshot)

    def snapshots(self) -> list[Template]:
        """The templates that are snapshots of sandboxes, newest first."""
        return _newest_first(template for template in self._templates.values() if template.is_snapshot)

    def find(self, reference: str) -> Template:
        """By id or alias, whatever the tag. Raises NotFoundError."""
        name = parse_reference(reference).name
        template = self._by_name(name)
        if template is None:
            raise NotFoundError(f"template '{reference}' not found")
        return template

    def build(self, template_id: str, build_id: str) -> Build:
        build = self._builds.get(build_id)
        if build is None or build.template_id != template_id:
            raise NotFoundError(f"build '{build_id}' not found")
        return build

    def builds_of(self, template_id: str) -> list[Build]:
        """Newest first."""
        if template_id == BASE:
            return [_base_build()]
        found = [build for build in self._builds.values() if build.template_id == template_id]
        return sorted(found, key=lambda build: (build.created_at, build.id), reverse=True)

    def all_builds(self) -> list[Build]:
        return list(self._builds.values())

    def needed_layers(self) -> Iterator[str]:
        """The layers of builds that a tag points at; sandboxes can be made of no others."""
        for template in self._templates.values():
            for assignment in template.tags.values():
                build = self._builds.get(assignment.build_id)
                if build is not None and build.result is not None:
                    yield from build.result.layers

    def latest_ready(self, template: Template) -> Build | None:
        """The build that sandboxes use: that of the default tag, else the newest finished one."""
        if template.id == BASE:
            return _base_build()
        if assignment := template.tags.get(DEFAULT_TAG):
            return self._builds.get(assignment.build_id)
        return next((build for build in self.builds_of(template.id) if build.status is BuildStatus.READY), None)

    def ready_build(self, reference: str) -> tuple[Template, Build]:
        """The finished build a reference with or without tag means. Raises NotFoundError."""
        parsed = parse_reference(reference)
        template = self._by_name(parsed.name)
        if template is None:
            raise NotFoundError(f"template '{reference}' not found")
        return template, self._tagged(template, parsed)

    def _tagged(self, template: Template, reference: Reference) -> Build:
        assignment = template.tags.get(reference.tag)
        build = self._builds.get(assignment.build_id) if assignment else None
        if build is None:
            raise NotFoundError(f"tag '{reference.tag}' does not exist for template '{reference.name}'")
        return build

    def _by_name(self, name: str) -> Template | None:
        if name == BASE:
            return _base_template()
        if name in self._templates:
            return self._templates[name]
        return next((template for template in self._templates.values() if template.alias == name), None)

    # What sandboxes ask

    def resolve(self, reference: str) -> Bootable:
        """What a sandbox of ``reference`` is started from. Raises NotFoundError, InvalidRequestError."""
        parsed = parse_reference(reference)
        if parsed.name == BASE:
            if parsed.tag != DEFAULT_TAG:
                raise NotFoundError(f"tag '{parsed.tag}' does not exist for template '{BASE}'")
            return _base_bootable()
        template, build = self.ready_build(reference)
        return bootable_of(template, build)

    def matches(self, reference: str, template_id: str) -> bool:
        template = self._by_name(reference.strip().lower())
        return template is not None and template.id == template_id

    def note_use(self, template_id: str, at: datetime) -> None:
        """Counted in memory; written with the template's next change or at the end of the daemon."""
        self.spawn_total += 1
        if (template := self._templates.get(template_id)) is not None:
            self._templates[template_id] = replace(template, spawn_count=template.spawn_count + 1, last_spawned_at=at)

    async def save_counts(self) -> None:
        for template in list(self._templates.values()):
            await self._records.write_template(template)

    # Changing

    def called(self, alias: str, now: datetime) -> Template:
        """The template of that alias; where there is none a new one, which is kept once it has a build."""
        if alias == BASE:
            raise InvalidRequestError(f"template name '{BASE}' is reserved")
        return self._by_name(alias) or Template(
            id=new_template_id(), alias=alias, public=False, created_at=now, updated_at=now
        )

    async def add_snapshot(self, alias: str | None, build: Build) -> Template:
        """A finished snapshot under its tags: a new template, or one more build of the template called ``alias``.

        ``build`` names the template it is for, unless ``alias`` says otherwise. On disk the build comes first: what a
        crash leaves of it alone is swept away at the next start.
        """
        while True:
            template = self._snapshot_template(alias, build)
            build = replace(build, template_id=template.id)
            await self._records.write_build(build)
            # Meanwhile another request may have made, changed or deleted the template.
            template = self._snapshot_template(alias, build)
            if template.id == build.template_id:
                break
        self._builds[build.id] = build
        tags = {**template.tags, **{tag: TagAssignment(build.id, build.created_at) for tag in build.tags}}
        changed = replace(template, tags=tags, updated_at=build.created_at)
        await self.save(changed)
        return changed

    def _snapshot_template(self, alias: str | None, build: Build) -> Template:
        """Where a snapshot goes: the template called ``alias``, else a new one with the id that ``build`` names."""
        existing = None if alias is None else self._by_name(alias)
        if existing is not None:
            self._refuse_base(existing)
            return existing
        return Template(
            id=build.template_id,
            alias=alias,
            public=False,
            created_at=build.created_at,
            updated_at=build.created_at,
            is_snapshot=True,
        )

    async def save(self, template: Template) -> None:
        self._templates[template.id] = template
        await self._records.write_template(template)
        self.on_change()

    async def save_build(self, build: Build) -> None:
        """Keep the next state of a build, unless its template has been deleted meanwhile."""
        if build.id in self._builds:
            self._builds[build.id] = build
            await self._records.write_build(build)

    async def register_build(self, template: Template, build: Build, superseded: Sequence[Build]) -> None:
        """Keep a new build, and its template if that is new, in place of the failed ones that it supersedes.

        Nobody sees a moment between the two: a superseded build can't be started, and there is one in its place.
        """
        is_new = template.id not in self._templates
        for changed in (build, *superseded):
            self._builds[changed.id] = changed
        if is_new:
            await self.save(template)
        for changed in (build, *superseded):
            # As it is now: it may have been started, or deleted with its template, while others were written.
            if (latest := self._builds.get(changed.id)) is not None:
                await self._records.write_build(latest)

    async def finish(self, build: Build, now: datetime) -> None:
        """Write a ready build down and move its tags to it. Whoever sees that it is ready sees the tags too.

        Nothing is left of it when its template is deleted meanwhile.
        """
        if build.id not in self._builds:
            return
        await self._records.write_build(build)
        template = self._templates.get(build.template_id)
        if template is not None:
            self._builds[build.id] = build
            tags = {**template.tags, **{tag: TagAssignment(build.id, now) for tag in build.tags}}
            await self.save(replace(template, tags=tags, updated_at=now))

    async def set_public(self, template: Template, public: bool, now: datetime) -> Template:
        self._refuse_base(template)
        changed = replace(self._templates[template.id], public=public, updated_at=now)
        await self.save(changed)
        return changed

    async def assign_tags(self, target: str, tags: Sequence[str], now: datetime) -> Build:
        """Point ``tags`` at the build that ``target`` means."""
        template, build = self.ready_build(target)
        self._refuse_base(template)
        moved: Mapping[str, TagAssignment] = {
            tag: TagAssignment(build.id, now)
            for tag in tags
            if tag not in template.tags or template.tags[tag].build_id != build.id
        }
        await self.save(replace(template, tags={**template.tags, **moved}, updated_at=now))
        return build

    async def remove_tags(self, name: str, tags: Sequence[str], now: datetime) -> None:
        template = self.find(name)
        self._refuse_base(template)
        if DEFAULT_TAG in tags:
            raise InvalidRequestError(f"tag '{DEFAULT_TAG}' cannot be removed")
        missing = [tag for tag in tags if tag not in template.tags]
        if missing:
            raise NotFoundError(f"tag '{missing[0]}' does not exist for template '{name}'")
        kept = {tag: assignment for tag, assignment in template.tags.items() if tag not in tags}
        await self.save(replace(template, tags=kept, updated_at=now))

    def forget(self, template: Template) -> list[Build]:
        """Nobody finds the template any more, nor its builds, which are returned: for :meth:`erase`."""
        self._refuse_base(template)
        builds = self.builds_of(template.id)
        self._templates.pop(template.id, None)
        for build in builds:
            del self._builds[build.id]
        return builds

    async def erase(self, template: Template, builds: Sequence[Build]) -> None:
        """Remove a forgotten template from the disk; layers stay as a cache for other templates."""
        await self._records.remove_template(template.id)
        for build in builds:
            await self._records.remove_build(build.id)
        self.on_change()

    def _refuse_base(self, template: Template) -> None:
        if template.id == BASE:
            raise ReservedTemplateError(f"template '{BASE}' belongs to the engine")


class ReservedTemplateError(EngineError):
    status = 403


def _newest_first(templates: Iterable[Template]) -> list[Template]:
    return sorted(templates, key=lambda template: (template.created_at, template.id), reverse=True)


def bootable_of(template: Template, build: Build) -> Bootable:
    result = build.result
    if result is None:
        raise NotFoundError(f"template '{template.name}' has no finished build")
    return Bootable(
        template_id=template.id,
        build_id=build.id,
        alias=template.alias,
        layers=result.layers,
        cpu_count=build.cpu_count,
        memory_mb=build.memory_mb,
        default_user=result.surroundings.user,
        workdir=result.surroundings.workdir,
        start_cmd=result.start_cmd,
        ready_cmd=result.ready_cmd,
        template_env=dict(result.surroundings.env),
    )


def _base_template() -> Template:
    build_id = _base_build_id()
    return Template(
        id=BASE,
        alias=BASE,
        public=True,
        created_at=_BASE_MADE,
        updated_at=_BASE_MADE,
        tags={DEFAULT_TAG: TagAssignment(build_id, _BASE_MADE)},
    )


def _base_build() -> Build:
    return Build(
        id=_base_build_id(),
        template_id=BASE,
        status=BuildStatus.READY,
        tags=(DEFAULT_TAG,),
        cpu_count=_BASE_CPU,
        memory_mb=_BASE_MEMORY,
        created_at=_BASE_MADE,
        updated_at=_BASE_MADE,
        finished_at=_BASE_MADE,
    )


def _base_bootable() -> Bootable:
    return Bootable(
        template_id=BASE,
        build_id=_base_build_id(),
        alias=BASE,
        layers=(),
        cpu_count=_BASE_CPU,
        memory_mb=_BASE_MEMORY,
    )


def _base_build_id() -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{BASE}.nexus.local"))


def new_template_id() -> str:
    return "".join(secrets.choice(_ID_LETTERS) for _ in range(20))


def new_build_id() -> str:
    return str(uuid.uuid4())
