"""Templates, declared ones and the catalogue's: built once for every digest of their inputs, tagged, deleted.

What another environment has built is not built again: its build is the base of one without steps.
"""

from __future__ import annotations

import asyncio
import re
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from e2b.api import encode_path_param
from e2b.api.client.api.templates import (
    delete_templates_template_id,
    get_templates_aliases_alias,
    get_templates_template_id,
    patch_v_2_templates_template_id,
)
from e2b.api.client.models import (
    TemplateAliasResponse,
    TemplateBuild,
    TemplateBuildStatus,
    TemplateUpdateRequest,
    TemplateWithBuilds,
)
from e2b.exceptions import BuildException, SandboxException
from e2b.template.main import TemplateBase, TemplateBuilder, TemplateClass
from e2b.template.types import BuildInfo

from nexus.kinds.base import SourceFiles
from nexus.kinds.bases import BaseSource
from nexus.kinds.packages import MANAGERS, PackageSet
from nexus.kinds.readiness import START_LOG, ReadyCheck
from nexus.kinds.template import TemplateSpec, build_env_vars
from nexus.model.changes import Verb
from nexus.model.state import ResourceRecord, Tree
from nexus.model.values import Value
from nexus.providers.base import Call, Certainty, ProviderError, Result
from nexus.providers.e2b import errors
from nexus.providers.e2b.build_log import BuildLog, BuildStep, what_is_printed
from nexus.providers.e2b.inside import ROOT
from nexus.providers.e2b.released import is_in_use, kept_for_released, made_from
from nexus.providers.e2b.rest import answer, confirm
from nexus.providers.e2b.sandbox import packages
from nexus.providers.e2b.sandbox.pinned import NPM_LOCKS
from nexus.providers.e2b.world import World, record_of, spec_of, unsupported
from nexus.providers.recording import record_after
from nexus.providers.reporting import Report

DEFAULT_TAG: Final = "default"
_DEFAULT_USER: Final = "user"
_LOOK_AGAIN: Final = 0.5
_STARTS_WITHIN: Final = timedelta(seconds=30)
_GAVE_WAY: Final = re.compile(r"(400: )?(superseded by|the build was cancelled$|build is not in waiting state)")
"""What is said of a build that another one took the place of: before it was started, or after that."""
_READY_AT_ONCE: Final = "sleep 1"
_LOCK_IN_BUILD: Final = "/var/lib/nexus/npm-locks.json"


class TemplateHandler:
    """Makes effects on templates. A finished build is never made again: its tag says that it exists."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def execute(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.BUILD | Verb.CREATE:
                return await self._build(call)
            case Verb.SET_TAGS:
                return await self._set_tags(call)
            case Verb.SET_PUBLIC:
                return await self._set_public(call)
            case Verb.RECORD:
                return Result(record_after(call))
            case Verb.DELETE:
                return await self._delete(call)
            case _:
                raise unsupported(call)

    async def _build(self, call: Call) -> Result:
        """Once for these inputs. E2B gives up a build for a newer one of the same tags, which is as good as ours.

        It may be the apply of another project that has begun it. Where nothing comes of it, ours can be made again.
        """
        spec = spec_of(call, TemplateSpec)
        found = await find_build(self._world, spec.name, spec.tag)
        if found is not None and found.ready:
            await self._move_default(spec)
            return Result(self._built(call, spec, found.template_id, found.build_id), unchanged=True)
        log = BuildLog(_steps(spec), call.report)
        try:
            info = await self._make(call, spec, log)
        except BuildException as problem:
            if log.failed_step(problem) or not await _gave_way(self._world, spec, problem, call.report):
                raise _build_failure(problem, log, call) from problem
            other = await find_build(self._world, spec.name, spec.tag)
            if other is None or not other.ready:
                raise _given_up(call) from problem
            return Result(self._built(call, spec, other.template_id, other.build_id), unchanged=True)
        return Result(self._built(call, spec, info.template_id, info.build_id))

    async def _make(self, call: Call, spec: TemplateSpec, log: BuildLog) -> BuildInfo:
        with tempfile.TemporaryDirectory(prefix="nexus-build-") as folder:
            context = Path(folder)
            await asyncio.to_thread(_fill_context, context, spec, call.trees, call.files)
            return await self._world.connection.builds.AsyncTemplate.build(
                self._describe(spec, log.steps, context, call),
                spec.name,
                tags=[spec.tag, DEFAULT_TAG],
                cpu_count=spec.cpu,
                memory_mb=spec.memory,
                on_build_logs=log,
            )

    def _built(self, call: Call, spec: TemplateSpec, template_id: str, build_id: str) -> ResourceRecord:
        shown = {name: call.attributes.get(name) for name in ("language", "env_vars")}
        outputs: dict[str, Value] = {
            "address": str(call.address),
            "id": template_id,
            "name": spec.name,
            "reference": spec.reference,
            "build_id": build_id,
            **shown,
        }
        return record_after(call, id=template_id, outputs=outputs, created_at=self._world.moment())

    def _describe(self, spec: TemplateSpec, steps: Sequence[BuildStep], context: Path, call: Call) -> TemplateClass:
        """The build, in the builder's words and in the order in which sandboxes are set up."""
        template = self._world.connection.builds.AsyncTemplate(file_context_path=context)
        if call.operation.unit:
            return _started(template.from_template(call.operation.unit), spec)
        builder = _based(spec, template, call)
        if spec.user != _DEFAULT_USER:
            builder.set_user(spec.user)
            builder.set_workdir("/root" if spec.user == ROOT else f"/home/{spec.user}")
        concealed = build_env_vars(call.attributes.get("env_vars"))
        seen = concealed if isinstance(concealed, dict) else spec.env_vars
        builder.set_envs({name: value for name, value in spec.env_vars.items() if name in seen})
        installations = [step for step in steps if step.field == "packages"]
        for step in installations:
            if step.copies is not None:
                builder.copy(*step.copies, user=ROOT)
            builder.run_cmd(step.command, user=ROOT)
        for number, upload in enumerate(spec.uploads):
            builder.copy(_source(number, call.trees[upload.tree]), upload.path, user=upload.user)
        for step in steps[len(installations) :]:
            builder.run_cmd(step.command, user=ROOT)
        return _started(builder, spec)

    async def _move_default(self, spec: TemplateSpec) -> None:
        """A build from earlier is the newest again: who names no tag gets it."""
        await self._world.connection.client.AsyncTemplate.assign_tags(spec.reference, [DEFAULT_TAG])

    async def _set_tags(self, call: Call) -> Result:
        spec, before = spec_of(call, TemplateSpec), record_of(call).attributes.get("tags")
        lost = sorted(set(map(str, before)) - set(spec.tags)) if isinstance(before, list) else []
        client = self._world.connection.client.AsyncTemplate
        if spec.tags:
            await client.assign_tags(spec.reference, list(spec.tags))
        if lost:
            await client.remove_tags(spec.name, lost)
        return Result(record_after(call))

    async def _set_public(self, call: Call) -> Result:
        spec = spec_of(call, TemplateSpec)
        response = await patch_v_2_templates_template_id.asyncio_detailed(
            encode_path_param(record_of(call).id),
            client=self._world.connection.api,
            body=TemplateUpdateRequest(public=spec.public),
        )
        confirm(response, str(call.address))
        return Result(record_after(call))

    async def _delete(self, call: Call) -> Result:
        template_id = record_of(call).id
        try:
            deleted = await delete_template(self._world, template_id, str(call.address))
        except ProviderError as problem:
            if not is_in_use(problem):
                raise
            return await kept_for_released(self._world, call, made_from(template_id), problem)
        return Result(None, unchanged=not deleted)


@dataclass(frozen=True, slots=True)
class FoundBuild:
    """A template in the account, and whether it has a finished build of the tag that was asked for."""

    template_id: str
    build_id: str
    ready: bool


async def find_build(world: World, name: str, tag: str) -> FoundBuild | None:
    """The build of ``name`` that carries ``tag``; None when there is no template of this name."""
    response = await get_templates_aliases_alias.asyncio_detailed(encode_path_param(name), client=world.connection.api)
    if response.status_code == 404:
        return None
    template_id = answer(response, TemplateAliasResponse).template_id
    try:
        tags = await world.connection.client.AsyncTemplate.get_tags(template_id)
    except SandboxException as problem:
        if errors.status_of(problem) == 404:
            return None  # somebody has deleted it just now
        raise
    build_id = next((item.build_id for item in tags if item.tag == tag), None)
    return FoundBuild(template_id, build_id or "", ready=build_id is not None)


async def build_of(world: World, template: str) -> str | None:
    """The id of the build that a template's name, with or without a tag, means; None where that can't be told."""
    name, _, tag = template.partition(":")
    try:
        found = await find_build(world, name, tag or DEFAULT_TAG)
    except (ProviderError, SandboxException) as problem:
        if errors.translate(problem).diagnostic.code == "permission-denied":
            return None  # the template is somebody else's
        raise
    return found.build_id if found is not None and found.ready else None


async def _gave_way(world: World, spec: TemplateSpec, problem: BuildException, report: Report) -> bool:
    """Whether a build of ours has ended for another one of its template. Returns once no other one is under way."""
    waited = False
    while (found := await find_build(world, spec.name, spec.tag)) is not None and not found.ready:
        response = await get_templates_template_id.asyncio_detailed(
            encode_path_param(found.template_id), client=world.connection.api
        )
        others = [] if response.status_code == 404 else answer(response, TemplateWithBuilds).builds
        if not any(_is_under_way(build, world.now()) for build in others):
            break
        if not waited:
            report.progress("waiting for the same build, which somebody else has begun")
        waited = True
        await asyncio.sleep(_LOOK_AGAIN)
    return waited or _GAVE_WAY.match(str(problem)) is not None


def _is_under_way(build: TemplateBuild, now: datetime) -> bool:
    """One that waits is about to be started, unless whoever registered it is gone."""
    if build.status is TemplateBuildStatus.WAITING:
        return now - build.created_at < _STARTS_WITHIN
    return build.status is TemplateBuildStatus.BUILDING


async def delete_template(world: World, template_id: str, address: str) -> bool:
    """Delete a template with all its builds; False when it is gone already."""
    response = await delete_templates_template_id.asyncio_detailed(
        encode_path_param(template_id), client=world.connection.api
    )
    if response.status_code == 404:
        return False
    if response.status_code == 400:
        raise errors.failure(
            "template-in-use",
            "The template is in use",
            detail=f"Sandboxes made from {address} run or are paused.",
            hint="delete them first; other projects and people may have some too",
            certainty=Certainty.NOT_DONE,
            address=address,
        )
    confirm(response, address)
    return True


def _based(spec: TemplateSpec, template: TemplateBase, call: Call) -> TemplateBuilder:
    match spec.base.source:
        case BaseSource.TEMPLATE:
            return template.from_template(spec.base.value)
        case BaseSource.IMAGE:
            return template.from_image(spec.base.value)
        case BaseSource.DOCKERFILE:
            # The SDK prints what it does not support of a Dockerfile.
            with what_is_printed() as printed:
                builder = template.from_dockerfile(spec.base.value)
            for line in printed.getvalue().splitlines():
                call.report.log("build", line)
            return builder


def _started(builder: TemplateBuilder, spec: TemplateSpec) -> TemplateClass:
    """What runs in the template when it is built, and in each sandbox of it.

    A log that a ready check reads is emptied first: what is in that of another build does not count.
    """
    ready = spec.ready.command if spec.ready is not None else None
    if spec.start_command is not None:
        command = spec.start_command
        if spec.ready is not None and spec.ready.check is ReadyCheck.LOG:
            builder.run_cmd(f"install -m 640 -o {shlex.quote(spec.user)} /dev/null {START_LOG}", user=ROOT)
            command = f"exec > >(tee -a {START_LOG}) 2>&1\n{command}"
        return builder.set_start_cmd(command, ready or _READY_AT_ONCE)
    return builder.set_ready_cmd(ready) if ready is not None else builder


def _steps(spec: TemplateSpec) -> tuple[BuildStep, ...]:
    """The commands of the build, in the order in which sandboxes are set up: installations come first."""
    installations = (_installation(manager, spec.packages) for manager in MANAGERS if spec.packages.of(manager))
    commands = (
        BuildStep(script=command, said=command, field=f"run_commands[{number}]")
        for number, command in enumerate(spec.run_commands)
    )
    script = spec.startup_script
    last = () if script is None else (BuildStep(script=script, said="startup_script", field="startup_script"),)
    return (*installations, *commands, *last)


def _installation(manager: str, wanted: PackageSet) -> BuildStep:
    pins = wanted.pins.get(manager)
    if pins is None:
        delta = packages.compare(manager, wanted.of(manager), ())
        return BuildStep(
            script=packages.script(manager, delta),
            said=packages.said(manager, delta),
            field="packages",
            hint=packages.hint(manager),
        )
    return BuildStep(
        script=packages.pinned_script(manager, pins, (), _LOCK_IN_BUILD),
        said=packages.said_of_pins(manager, pins),
        field="packages",
        copies=(NPM_LOCKS, _LOCK_IN_BUILD) if pins.file else None,
    )


def _source(number: int, tree: Tree) -> str:
    """Where the files of an upload lie in the build context: in a folder, or alone where the upload is one file."""
    return f"upload-{number}/file" if "" in tree else f"upload-{number}"


def _fill_context(context: Path, spec: TemplateSpec, trees: Mapping[str, Tree], files: SourceFiles) -> None:
    """Write what is uploaded where the SDK picks it up. Modes are set as declared, whatever the umask is."""
    for pins in spec.packages.pins.values():
        if pins.file:
            with (context / NPM_LOCKS).open("wb") as lock:
                lock.writelines(files.content(pins.file, ""))
    for number, upload in enumerate(spec.uploads):
        tree = trees[upload.tree]
        root = context / f"upload-{number}"
        root.mkdir()
        root.chmod(0o755)
        for relative, entry in tree.items():
            path = root / (relative or "file")
            _make_folders(root, path.parent)
            with path.open("wb") as file:
                file.writelines(files.content(upload.tree, relative))
            path.chmod(entry.mode & 0o7777)


def _make_folders(root: Path, folder: Path) -> None:
    if folder != root and not folder.exists():
        _make_folders(root, folder.parent)
        folder.mkdir()
        folder.chmod(0o755)


def _given_up(call: Call) -> ProviderError:
    """It is worth another try: the other one may never have been started, and its failure was told to somebody else."""
    return errors.failure(
        "build-failed",
        "The build gave way to a newer one of the same template, which came to nothing",
        detail="Somebody else began to build it at the same moment: that build failed, or was never started.",
        hint="run «nexus apply» again",
        certainty=Certainty.NOT_DONE,
        address=str(call.address),
    )


def _build_failure(problem: BuildException, log: BuildLog, call: Call) -> ProviderError:
    failed = errors.translate(problem, str(call.address))
    if failed.diagnostic.code != "build-failed":
        return failed
    step, started = (
        log.failed_step(problem),
        "ready" if call.attributes.get("start_command") is None else "start_command",
    )
    field = started if log.is_finalizing else "" if step is None else step.field
    hint = "" if step is None else step.hint
    if isinstance(call.spec, TemplateSpec) and call.spec.packages.pins:
        hint = f"if the registry does not have the locked versions any more: nexus lock --upgrade {call.address.group}"
    if call.operation.unit and not field:
        hint = (
            f"where {call.operation.unit} comes from, it may have been deleted meanwhile: make it there, and try again"
        )
    return errors.failure(
        "build-failed",
        f"The build failed at {field}" if field else "The build failed",
        detail=log.told(problem),
        hint=hint,
        address=str(call.address),
        field=field,
    )
