"""Steps: inputs brought in, code run in its sandbox, outputs measured where they lie."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from nexus.kinds.step import Artefact, StepSpec
from nexus.kinds.step_fields import Language
from nexus.model.changes import Verb
from nexus.model.runs import StepResult
from nexus.model.values import Value, digest
from nexus.providers.base import Call, Certainty, Gone, ProviderError, Result
from nexus.providers.e2b import errors, transfer
from nexus.providers.e2b.inside import Inside
from nexus.providers.e2b.jobs import Job, Ran, Runner, Usage, collect, end_leftovers, run_job
from nexus.providers.e2b.keeping import Keeping, outputs_of
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.own_sandbox import OwnSandboxes
from nexus.providers.e2b.redaction import Redactor
from nexus.providers.e2b.secrets import secrets_of
from nexus.providers.e2b.world import World, spec_of, unsupported
from nexus.providers.recording import record_after

RUNNERS: Final[Mapping[Language, Runner]] = {
    Language.BASH: Runner.STRICT,
    Language.PYTHON: Runner.PYTHON,
    Language.JAVASCRIPT: Runner.NODE,
}
_LONGEST_PAUSE: Final = 300.0


class StepHandler:
    """Runs steps. A step that failed leaves a record too: of a run, without a result.

    ``secrets`` must not be in what is kept on this machine.
    """

    def __init__(self, world: World, secrets: Callable[[], Iterable[str]] = tuple) -> None:
        self._world = world
        self._secrets = secrets
        self._own = OwnSandboxes(world)

    async def execute(self, call: Call) -> Result:
        match call.operation.verb:
            case Verb.RUN_STEP:
                return await self._explained(call)
            case Verb.RECORD:
                return Result(record_after(call))
            case Verb.DELETE:
                return Result(None, unchanged=True)
            case _:
                raise unsupported(call)

    async def _explained(self, call: Call) -> Result:
        spec = spec_of(call, StepSpec)
        try:
            return await self._run(call, spec)
        except ProviderError as problem:
            found = problem
            if problem.diagnostic.code == errors.SANDBOX_NOT_RUNNING and spec.own is None:
                found = await self._world.sandboxes.explain(spec.sandbox_id, spec.sandbox_address)
            if isinstance(found, Gone):
                # The step itself is not gone: it has no place to run.
                found = ProviderError(found.diagnostic, Certainty.PERMANENT)
            raise found from problem

    async def _run(self, call: Call, spec: StepSpec) -> Result:
        redactor = Redactor((*secrets_of(call), *self._secrets())) if spec.cache or spec.own else Redactor(())
        keeping = Keeping(self._world.results, call, spec, redactor)
        kept = keeping.find()
        if kept is not None:
            return await self._brought(call, spec, kept)
        attempted = await self._tried(call, spec, keeping)
        if attempted.problem is not None:
            raise self._failure(call, attempted, attempted.problem)
        return Result(
            record_after(call, id=call.key, outputs=_outputs(call, attempted), created_at=self._world.moment())
        )

    async def _brought(self, call: Call, spec: StepSpec, kept: StepResult) -> Result:
        """An earlier result in the place of a run: its files are put where the step would have left them."""
        call.report.progress("bringing the result of an earlier run")
        outputs = outputs_of(call, spec, kept)
        if spec.own is None and spec.outputs:
            inside = await self._world.sandboxes.open(spec.sandbox_id, spec.sandbox_address)
            await inside.receipt()
            wanted = {
                spec.outputs[name]: Artefact(
                    sandbox="", address=str(call.address), path=item.path, sha256=item.sha256, size=item.size
                )
                for name, item in kept.artefacts.items()
            }
            await transfer.place(self._world, inside, wanted, spec.user, str(call.address))
        record = record_after(call, id=call.key, outputs=outputs, created_at=self._world.moment())
        return Result(record, unchanged=True, note="an earlier run of the same stands for it")

    async def _tried(self, call: Call, spec: StepSpec, keeping: Keeping) -> _Attempt:
        """As often as may be, until it has succeeded. In a sandbox of its own, each try has a new one."""
        tries, pause = spec.retries + 1, float(spec.backoff)
        for number in range(1, tries + 1):
            if number > 1:
                call.report.progress(f"failed; try {number} of {tries} in {pause:g} s")
                await asyncio.sleep(pause)
                pause = min(2 * pause, max(_LONGEST_PAUSE, pause))
            async with self._sandbox(call, spec) as inside:
                if number == 1 and spec.own is None:
                    await inside.receipt()
                    await end_leftovers(inside, _job_name(call))
                if number == 1 or spec.own is not None:
                    await self._bring_inputs(inside, call, spec)
                attempted = replace(await self._attempt(inside, call, spec), number=number)
                if attempted.problem is None:
                    await keeping.keep(inside, _outputs(call, attempted))
                    break
        return attempted

    @asynccontextmanager
    async def _sandbox(self, call: Call, spec: StepSpec) -> AsyncIterator[Inside]:
        if spec.own is None:
            yield await self._world.sandboxes.open(spec.sandbox_id, spec.sandbox_address)
            return
        async with self._own.one(call, spec.own) as inside:
            yield inside

    async def _bring_inputs(self, inside: Inside, call: Call, spec: StepSpec) -> None:
        await inside.receipt()
        call.report.progress("bringing inputs" if spec.inputs else "running")
        await transfer.place(self._world, inside, spec.inputs, spec.user, str(call.address))

    async def _attempt(self, inside: Inside, call: Call, spec: StepSpec) -> _Attempt:
        call.report.progress(f"running {spec.language}")
        output = Output(call.report)
        ran = await run_job(inside, _job(spec, _job_name(call)), output)
        succeeded = ran.finished.exit_code == 0 and not ran.timed_out
        usage, measured = await collect(inside, ran, also=_measure(spec.outputs) if succeeded else "")
        attempted = _Attempt(inside.id, ran, usage)
        if ran.timed_out:
            problem = errors.failure(
                errors.EXECUTION_TIMEOUT,
                f"The step did not end within {spec.timeout} s",
                detail=output.tail,
                hint="allow more with timeout:",
                address=str(call.address),
            )
            return replace(attempted, problem=problem)
        if not succeeded:
            problem = errors.execution_failed(
                f"The step failed with exit code {ran.finished.exit_code}",
                exit_code=ran.finished.exit_code,
                output=output.tail or ran.finished.error,
                address=str(call.address),
            )
            return replace(attempted, problem=problem)
        artefacts, missing = _artefacts(spec, inside, measured)
        return replace(attempted, artefacts=artefacts, problem=_without_output(missing, call) if missing else None)

    def _failure(self, call: Call, attempted: _Attempt, problem: ProviderError) -> ProviderError:
        outputs = _outputs(call, attempted)
        ran = record_after(call, id=call.key, outputs=outputs, created_at=self._world.moment())
        return ProviderError(problem.diagnostic, Certainty.PERMANENT, record=replace(ran, setup={}))


@dataclass(frozen=True, slots=True)
class _Attempt:
    sandbox_id: str
    ran: Ran
    usage: Usage
    artefacts: Mapping[str, Value] = field(default_factory=dict)
    problem: ProviderError | None = None
    number: int = 1


def _job_name(call: Call) -> str:
    """The same in every run of a step: what one that was killed has left running is ended by the next."""
    return digest(str(call.address))


def _job(spec: StepSpec, name: str) -> Job:
    return Job(
        name=name,
        script=spec.code,
        user=spec.user,
        runner=RUNNERS[spec.language],
        cwd=spec.working_dir,
        env=spec.env_vars,
        stdin=None if spec.stdin is None else spec.stdin.encode(),
        timeout=spec.timeout,
        measured=True,
    )


def _outputs(call: Call, attempted: _Attempt) -> dict[str, Value]:
    return {
        "address": str(call.address),
        "outputs": dict(attempted.artefacts),
        "exit_code": attempted.ran.finished.exit_code,
        "attempts": attempted.number,
        "sandbox_id": attempted.sandbox_id,
        "seconds": round(attempted.ran.seconds, 3),
        "cpu_seconds": attempted.usage.cpu_seconds,
        "peak_memory": attempted.usage.peak_memory,
    }


def _measure(outputs: Mapping[str, str]) -> str:
    """A command that writes one line for each output: its size and sha256, or why there is none."""
    return "\n".join(
        f'f={shlex.quote(path)}; if [ -f "$f" ]; then '
        f'echo "$(stat -Lc %s -- "$f") $(sha256sum < "$f" | cut -d" " -f1)"; '
        f'elif [ -e "$f" ]; then echo "is not a file"; else echo "is not there"; fi'
        for path in outputs.values()
    )


def _artefacts(spec: StepSpec, inside: Inside, measured: str) -> tuple[dict[str, Value], list[str]]:
    """The artefacts by name, and sentences about those that are missing."""
    found: dict[str, Value] = {}
    missing: list[str] = []
    for (name, path), line in zip(spec.outputs.items(), measured.splitlines(), strict=True):
        match line.split():
            case [size, sha256] if size.isdigit():
                found[name] = {
                    "sandbox": inside.id,
                    "address": inside.address,
                    "path": path,
                    "sha256": sha256,
                    "size": int(size),
                }
            case _:
                missing.append(f"{name}: {path} {line.strip()}.")
    return found, missing


def _without_output(missing: list[str], call: Call) -> ProviderError:
    return errors.failure(
        "missing-output",
        "The step did not make what it declares",
        detail="\n".join(missing),
        hint="check the paths under outputs:",
        address=str(call.address),
    )
