"""One build from its source to a finished result: base, then one layer per step, then a check of the start command.

E2B's phases and log lines; instead of machine snapshots, each step's files become a layer, and a later build that
comes to the same key takes the layer as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace

from nexus.local.builds.archives import ArchiveStore
from nexus.local.builds.build_log import BuildLog, Lines
from nexus.local.builds.images import UnavailableImageError, resolve_image
from nexus.local.builds.model import Build, BuildResult, BuildSpec, FailureReason, Step, Surroundings
from nexus.local.builds.plan import BuildPlan, InvalidStepError, PlannedStep, StepError, digest, plan_build
from nexus.local.builds.registry import TemplateRegistry
from nexus.local.builds.steps import StepRunner
from nexus.local.envd.config import EnvdConfig
from nexus.local.errors import EngineError
from nexus.local.guest import Command, Guest, GuestError
from nexus.local.isolation.base import Isolation, Limits, Machine, MachineSpec
from nexus.local.sandboxes.booting import wait_until_ready
from nexus.local.storage.retention import Retention

_READY_LIMIT = 300.0
# E2B's phases.
_BASE, _BUILDER, _FINALIZE = "base", "builder", "finalize"


class BuildFailedError(Exception):
    def __init__(self, reason: FailureReason) -> None:
        super().__init__(reason.message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class _Source:
    """Where a build begins."""

    name: str
    key: str
    layers: tuple[str, ...] = ()
    setup: str | None = None
    surroundings: Surroundings
    start_cmd: str | None = None
    ready_cmd: str | None = None


@dataclass(frozen=True, slots=True)
class _Place:
    """Where in a build a step stands: as its log lines begin, and as clients are told."""

    prefix: str
    label: str


class Builder:
    """Runs builds on machines of ``isolation``."""

    def __init__(
        self,
        isolation: Isolation,
        registry: TemplateRegistry,
        archives: ArchiveStore,
        extra_env: dict[str, str],
        retention: Retention,
    ) -> None:
        self._isolation = isolation
        self._registry = registry
        self._archives = archives
        self._extra_env = extra_env
        self._retention = retention

    async def run(self, build: Build, spec: BuildSpec, log: BuildLog, pins: contextlib.ExitStack) -> BuildResult:
        """Raises BuildFailedError for what the template's author can mend; other errors are the engine's.

        The layers of the result are kept at least until ``pins`` is closed.
        """
        source = await self._set_up(build, self._base(spec, log), log, pins)
        try:
            plan = plan_build(source.key, source.surroundings, spec.steps, force=spec.force, salt=build.id)
        except InvalidStepError as error:
            raise _failure(str(error.number), error.message) from error
        self._pin(source, plan, pins)
        layers = await self._make_layers(build, source.layers, plan, log)
        start_cmd, ready_cmd = spec.start_cmd, spec.ready_cmd
        if start_cmd is None and ready_cmd is None:
            start_cmd, ready_cmd = source.start_cmd, source.ready_cmd
        result = BuildResult(
            layers=layers,
            surroundings=plan.surroundings,
            start_cmd=start_cmd,
            ready_cmd=ready_cmd,
            checked=digest(plan.key, start_cmd, ready_cmd),
        )
        await self._finalize(build, result, log)
        return result

    def _base(self, spec: BuildSpec, log: BuildLog) -> _Source:
        fingerprint = self._isolation.fingerprint
        if spec.from_template is not None:
            log.add(f"[base] FROM template {spec.from_template}", step=_BASE)
            return self._parent(spec.from_template, fingerprint)
        image = spec.from_image or "e2bdev/base"
        log.add(f"[base] FROM {image}", step=_BASE)
        try:
            base = resolve_image(image)
        except UnavailableImageError as error:
            raise _failure(_BASE, str(error)) from error
        log.add(f"[base] {image} stands for the engine's own base: this host's programs", level="debug", step=_BASE)
        key = digest("image", base.name, fingerprint)
        return _Source(name=image, key=key, setup=base.setup, surroundings=Surroundings())

    def _parent(self, reference: str, fingerprint: str) -> _Source:
        try:
            parent = self._registry.resolve(reference)
        except EngineError as error:
            raise _failure(_BASE, error.message) from error
        surroundings = Surroundings(user=parent.default_user, workdir=parent.workdir, env=dict(parent.template_env))
        return _Source(
            name=reference,
            key=digest("template", parent.build_id, fingerprint),
            layers=parent.layers,
            surroundings=surroundings,
            start_cmd=parent.start_cmd,
            ready_cmd=parent.ready_cmd,
        )

    async def _set_up(self, build: Build, source: _Source, log: BuildLog, pins: contextlib.ExitStack) -> _Source:
        """The source with what its image has beyond the base, in a layer that all builds on that image share."""
        if source.setup is None:
            return source
        step = Step(type="RUN", args=(source.setup, "root"))
        plan = plan_build(source.key, source.surroundings, [step], force=False, salt="")
        self._pin(source, plan, pins)
        layers = await self._make_layers(build, source.layers, plan, log, phase=_BASE)
        return replace(source, key=plan.key, layers=layers, setup=None)

    def _pin(self, source: _Source, plan: BuildPlan, pins: contextlib.ExitStack) -> None:
        planned = [step.layer for step in plan.steps if step.layer is not None]
        pins.enter_context(self._retention.pinned((*source.layers, *planned)))

    async def _make_layers(
        self, build: Build, base: Sequence[str], plan: BuildPlan, log: BuildLog, *, phase: str = _BUILDER
    ) -> tuple[str, ...]:
        layers = tuple(base)
        for planned in plan.steps:
            place = _Place(f"[{phase} {planned.number}/{len(plan.steps)}]", _label(phase, planned))
            cached = planned.layer is not None and await self._isolation.has_layer(planned.layer)
            shown = f"{place.prefix} {_shown(planned.step)}"
            log.add(f"CACHED {shown}" if cached else shown, step=place.label)
            if planned.layer is None:
                continue
            if not cached:
                await self._make_layer(build, planned, planned.layer, layers, place, log)
            layers = (*layers, planned.layer)
        return layers

    async def _make_layer(
        self,
        build: Build,
        planned: PlannedStep,
        layer: str,
        layers: tuple[str, ...],
        place: _Place,
        log: BuildLog,
    ) -> None:
        step = planned.step
        archive = self._archives.find(step.files_hash) if step.files_hash else None
        async with self._machine(build, layers, planned.before) as machine:
            runner = StepRunner(Guest(machine.envd_socket), log, place.prefix, place.label)
            try:
                await runner.run(step, planned.before, archive)
            except StepError as error:
                raise _failure(place.label, str(error)) from error
            await machine.kill()
            await self._isolation.commit(machine.id, layer)

    async def _finalize(self, build: Build, result: BuildResult, log: BuildLog) -> None:
        """Start a machine of the finished layers and see that the start command gets ready."""
        if result.start_cmd is None and result.ready_cmd is None:
            log.add("[finalize] no start command to check", level="debug", step=_FINALIZE)
            return
        if self._was_checked(result):
            log.add("CACHED [finalize] start command", step=_FINALIZE)
            return
        async with self._machine(build, result.layers, result.surroundings) as machine:
            try:
                await self._check_start(Guest(machine.envd_socket), result, log)
            except (GuestError, EngineError, StepError) as error:
                raise _failure(_FINALIZE, str(error)) from error

    def _was_checked(self, result: BuildResult) -> bool:
        return any(build.result and build.result.checked == result.checked for build in self._registry.all_builds())

    async def _check_start(self, guest: Guest, result: BuildResult, log: BuildLog) -> None:
        surroundings = result.surroundings
        starting = None
        if result.start_cmd is not None:
            log.add(f"[finalize] Starting: {result.start_cmd}", step=_FINALIZE)
            starting = asyncio.create_task(_run_start(guest, _in(surroundings, result.start_cmd), log))
        try:
            if result.ready_cmd is not None:
                log.add(f"[finalize] Waiting until ready: {result.ready_cmd}", step=_FINALIZE)
                ready = asyncio.create_task(wait_until_ready(guest, _in(surroundings, result.ready_cmd), _READY_LIMIT))
                await _first_of(ready, starting)
            log.add("[finalize] Template is ready", step=_FINALIZE)
        finally:
            if starting is not None:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)

    @contextlib.asynccontextmanager
    async def _machine(
        self, build: Build, layers: tuple[str, ...], surroundings: Surroundings
    ) -> AsyncIterator[Machine]:
        """A machine for one step. It and what it wrote are gone afterwards, unless ended and committed before."""
        machine_id = f"b{secrets.token_hex(8)}"
        spec = MachineSpec(
            id=machine_id,
            hostname="build",
            layers=layers,
            envd=EnvdConfig(
                sandbox_id=machine_id,
                template_id=build.template_id,
                default_user=surroundings.user,
                workdir=surroundings.workdir,
                extra_env=self._extra_env,
            ),
            limits=Limits(cpu_count=build.cpu_count, memory_mb=build.memory_mb),
        )
        machine = await self._isolation.start(spec)
        try:
            yield machine
        finally:
            await machine.kill()
            await self._isolation.discard(machine_id)


async def _run_start(guest: Guest, command: Command, log: BuildLog) -> None:
    """Run the start command, logging what it prints, until it ends or is let go."""
    lines = {"stdout": Lines(), "stderr": Lines()}

    def keep(stream: str, piece: bytes) -> None:
        for text in lines[stream].feed(piece):
            log.add(f"[finalize] [{stream}]: {text}", level="debug", step=_FINALIZE)

    code = await guest.run(command, keep)
    if code != 0:
        raise StepError(f"failed to run start command '{command.text}': exit status {code}")


async def _first_of(ready: asyncio.Task[None], starting: asyncio.Task[None] | None) -> None:
    """Wait for ``ready``, unless ``starting`` fails before; a start command that ends well is no failure."""
    try:
        if starting is not None:
            await asyncio.wait({ready, starting}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done() and not ready.done():
                starting.result()
        await ready
    finally:
        ready.cancel()
        await asyncio.gather(ready, return_exceptions=True)


def _in(surroundings: Surroundings, text: str) -> Command:
    return Command(text=text, user=surroundings.user, cwd=surroundings.workdir, envs=surroundings.env)


def _label(phase: str, planned: PlannedStep) -> str:
    """Clients find the line of a template's code by the number of its step; other phases have their name."""
    return str(planned.number) if phase == _BUILDER else phase


def _failure(step: str, message: str) -> BuildFailedError:
    return BuildFailedError(FailureReason(message=message, step=step))


def _shown(step: Step) -> str:
    """The step as its author wrote it. Values of ENV are left out: they may be secrets."""
    match step.type:
        case "ENV":
            return "ENV " + " ".join(step.args[::2])
        case "COPY":
            return "COPY " + " ".join(step.args[:2])
        case _:
            return f"{step.type} {step.args[0] if step.args else ''}".rstrip()
