"""Results of steps on this machine: what was proven once is found again by its content, and its files are brought.

Two kinds of steps leave their files here: those with ``cache: true``, so that an equal run need not be made, and those
with a sandbox of their own, because nothing else is left of that. A file that holds a secret is never kept.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Final

from nexus.kinds.step import StepSpec, content_key
from nexus.model.addresses import Address
from nexus.model.runs import StepResult, step_result
from nexus.model.state import LOST, ResourceRecord
from nexus.model.values import Attributes, Value
from nexus.providers.base import Call, ProviderError
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.redaction import Redactor
from nexus.providers.results import Results

_CONTENT: Final = ("template", "user", "network", "volumes")
"""Fields of a sandbox that say, with its setup, what it is; its id and its time say nothing of that."""


@dataclass(frozen=True, slots=True)
class Keeping:
    """What is kept of one call. ``key`` is None where no earlier run may stand for it."""

    results: Results | None
    call: Call
    spec: StepSpec
    redactor: Redactor

    @property
    def key(self) -> str | None:
        if not self.spec.cache:
            return None
        content: Value | None = self.call.attributes["sandbox"]
        if self.spec.own is None:
            record = self.call.upstream(Address.parse(self.spec.sandbox_address))
            content = None if record is None else _content(record)
        return None if content is None else content_key(self.call.attributes, content)

    def find(self) -> StepResult | None:
        """What an earlier run of the same left, unless this one was asked for by force."""
        key = None if self.call.operation.force else self.key
        found = None if key is None or self.results is None else self.results.find(key)
        return found if found is not None and found.artefacts.keys() == self.spec.outputs.keys() else None

    async def keep(self, inside: Inside, outputs: Attributes) -> None:
        """Take the files of a step that succeeded; raises ProviderError where nothing else would be left of them."""
        key, needed = self.key, self.spec.own is not None
        if key is None and not needed:
            return
        made = outputs["outputs"]
        result = step_result({}, outputs, "")
        try:
            for name in made if isinstance(made, dict) else ():
                await self._keep(inside, name, result)
        except _CanNotBeKept as problem:
            if needed:
                raise ProviderError(problem.failure.diagnostic, problem.failure.certainty) from None
            self.call.report.log("stderr", f"nexus: not kept for later runs: {problem.failure.diagnostic.summary}")
            return
        if key is not None and self.results is not None:
            self.results.note(key, result)

    async def _keep(self, inside: Inside, name: str, result: StepResult) -> None:
        artefact = result.artefacts[name]
        if self.results is None:
            raise _CanNotBeKept(_not_kept(self.call, name, "There is no place for it."))
        chunks = self._without_secrets(inside.receive(artefact.path, user=ROOT), name)
        try:
            kept = await self.results.keep(artefact.sha256, artefact.size, chunks)
        except OSError as problem:
            raise _CanNotBeKept(_not_kept(self.call, name, f"{problem.strerror or problem}.")) from problem
        if not kept:
            raise _CanNotBeKept(_not_kept(self.call, name, "The file changed after the step had ended."))

    async def _without_secrets(self, chunks: AsyncIterator[bytes], name: str) -> AsyncIterator[bytes]:
        """The same pieces; a secret may lie across two of them."""
        end = b""
        async for chunk in chunks:
            if self.redactor.longest:
                if self.redactor.finds(end + chunk):
                    raise _CanNotBeKept(_holds_secret(self.call, name))
                end = (end + chunk)[-self.redactor.longest :]
            yield chunk


class _CanNotBeKept(Exception):  # noqa: N818 - it says what is the case
    def __init__(self, failure: ProviderError) -> None:
        super().__init__(str(failure))
        self.failure = failure


def _content(record: ResourceRecord) -> Value | None:
    """What a sandbox is made of; None where something of it was found to be otherwise."""
    if LOST in record.setup.values():
        return None
    setup: dict[str, Value] = dict(record.setup)
    return {**{name: record.attributes.get(name) for name in _CONTENT}, "setup": setup}


def outputs_of(call: Call, spec: StepSpec, kept: StepResult) -> Mapping[str, Value]:
    """What is remembered of a step for which an earlier result stands."""
    made: dict[str, Value] = {
        name: {
            "sandbox": spec.sandbox_id,
            "address": spec.sandbox_address or str(call.address),
            "path": spec.outputs[name],
            "sha256": item.sha256,
            "size": item.size,
        }
        for name, item in kept.artefacts.items()
    }
    return {
        "address": str(call.address),
        "outputs": made,
        "exit_code": 0,
        "attempts": 0,
        "cpu_seconds": kept.cpu_seconds,
        "peak_memory": kept.peak_memory,
        "cached": True,
    }


def _not_kept(call: Call, name: str, why: str) -> ProviderError:
    return errors.failure(
        "artefact-not-kept",
        "A file that the step made can't be kept on this machine",
        detail=f"{name}: {why}",
        hint="make room in the folder cache/ of NEXUS_HOME, or run the step in a sandbox of the section sandboxes",
        address=str(call.address),
    )


def _holds_secret(call: Call, name: str) -> ProviderError:
    return errors.failure(
        "secret-in-output",
        "A file that the step made holds a secret",
        detail=f"{name} would be kept on this machine's disk, and no secret may lie there.",
        hint="leave the secret out of the file, or run the step in a sandbox of the section sandboxes, without cache",
        address=str(call.address),
    )
