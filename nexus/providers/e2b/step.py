"""Steps: inputs brought in, code run in its sandbox, outputs measured where they lie."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from nexus.kinds.step import StepSpec
from nexus.kinds.step_fields import Language
from nexus.model.changes import Verb
from nexus.model.values import Value
from nexus.providers.base import Call, Certainty, Gone, ProviderError, Result
from nexus.providers.e2b import errors, transfer
from nexus.providers.e2b.inside import Inside
from nexus.providers.e2b.jobs import Job, Ran, Runner, Usage, collect, run_job
from nexus.providers.e2b.output import Output
from nexus.providers.e2b.world import World, spec_of, unsupported
from nexus.providers.recording import record_after

RUNNERS: Final[Mapping[Language, Runner]] = {
    Language.BASH: Runner.STRICT,
    Language.PYTHON: Runner.PYTHON,
    Language.JAVASCRIPT: Runner.NODE,
}
_LONGEST_PAUSE: Final = 30.0


class StepHandler:
    """Runs steps. A step that failed leaves a record too: of a run, without a result."""

    def __init__(self, world: World) -> None:
        self._world = world

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
            if problem.diagnostic.code == errors.SANDBOX_NOT_RUNNING:
                found = await self._world.sandboxes.explain(spec.sandbox_id, spec.sandbox_address)
            if isinstance(found, Gone):
                # The step itself is not gone: it has no place to run.
                found = ProviderError(found.diagnostic, Certainty.PERMANENT)
            raise found from problem

    async def _run(self, call: Call, spec: StepSpec) -> Result:
        inside = await self._world.sandboxes.open(spec.sandbox_id, spec.sandbox_address)
        await inside.receipt()
        call.report.progress("bringing inputs" if spec.inputs else "running")
        await transfer.place(self._world, inside, spec.inputs, spec.user, str(call.address))
        for attempt in range(spec.retries + 1):
            if attempt:
                pause = min(_LONGEST_PAUSE, 2.0 ** (attempt - 1))
                call.report.progress(f"failed; try {attempt + 1} of {spec.retries + 1} in {pause:g} s")
                await asyncio.sleep(pause)
            attempted = replace(await self._attempt(inside, call, spec), number=attempt + 1)
            if attempted.problem is None:
                break
        if attempted.problem is not None:
            raise self._failure(call, attempted, attempted.problem)
        return Result(
            record_after(call, id=call.key, outputs=_outputs(call, attempted), created_at=self._world.moment())
        )

    async def _attempt(self, inside: Inside, call: Call, spec: StepSpec) -> _Attempt:
        call.report.progress(f"running {spec.language}")
        output = Output(call.report)
        ran = await run_job(inside, _job(spec), output)
        succeeded = ran.finished.exit_code == 0 and not ran.timed_out
        usage, measured = await collect(inside, ran, also=_measure(spec.outputs) if succeeded else "")
        if ran.timed_out:
            problem = errors.failure(
                errors.EXECUTION_TIMEOUT,
                f"The step did not end within {spec.timeout} s",
                detail=output.tail,
                hint="allow more with timeout:",
                address=str(call.address),
            )
            return _Attempt(ran, usage, {}, problem)
        if not succeeded:
            problem = errors.failure(
                errors.EXECUTION_ERROR,
                f"The step failed with exit code {ran.finished.exit_code}",
                detail=output.tail or ran.finished.error,
                address=str(call.address),
            )
            return _Attempt(ran, usage, {}, problem)
        artefacts, missing = _artefacts(spec, measured)
        return _Attempt(ran, usage, artefacts, _without_output(missing, call) if missing else None)

    def _failure(self, call: Call, attempted: _Attempt, problem: ProviderError) -> ProviderError:
        outputs = _outputs(call, attempted)
        ran = record_after(call, id=call.key, outputs=outputs, created_at=self._world.moment())
        return ProviderError(problem.diagnostic, Certainty.PERMANENT, record=replace(ran, setup={}))


@dataclass(frozen=True, slots=True)
class _Attempt:
    ran: Ran
    usage: Usage
    artefacts: Mapping[str, Value]
    problem: ProviderError | None
    number: int = 1


def _job(spec: StepSpec) -> Job:
    return Job(
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


def _artefacts(spec: StepSpec, measured: str) -> tuple[dict[str, Value], list[str]]:
    """The artefacts by name, and sentences about those that are missing."""
    found: dict[str, Value] = {}
    missing: list[str] = []
    for (name, path), line in zip(spec.outputs.items(), measured.splitlines(), strict=True):
        match line.split():
            case [size, sha256] if size.isdigit():
                found[name] = {
                    "sandbox": spec.sandbox_id,
                    "address": spec.sandbox_address,
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
