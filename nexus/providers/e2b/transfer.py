"""Artefacts on their way from the sandbox that made them to the one that wants them, checked as they pass."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import AsyncIterator, Mapping

from nexus.kinds.step import Artefact
from nexus.providers.base import Gone, ProviderError
from nexus.providers.e2b import errors
from nexus.providers.e2b.inside import ROOT, Inside
from nexus.providers.e2b.jobs import new_token
from nexus.providers.e2b.shell import MAKE_FOLDER
from nexus.providers.e2b.world import World
from nexus.providers.results import Results


async def place(world: World, inside: Inside, inputs: Mapping[str, Artefact], user: str, address: str) -> None:
    """Put every artefact at its path, belonging to ``user``. Content that is not what was recorded never gets there."""
    moves: list[str] = []
    for path, artefact in inputs.items():
        part = f"{path}.nexus-{new_token()}"
        results = world.results
        if artefact.sandbox == inside.id:
            await _copy(inside, part, artefact, user, address)
        elif results is not None and results.has(artefact.sha256):
            await _send_kept(results, inside, part, artefact, user, address)
        else:
            await _stream(world, inside, part, artefact, user, address)
        moves.append(f"mv -f -- {shlex.quote(part)} {shlex.quote(path)}")
    if moves:
        await inside.check(" && ".join(moves), summary="The inputs could not be put in place")


async def _copy(inside: Inside, part: str, artefact: Artefact, user: str, address: str) -> None:
    source, target, owner = (shlex.quote(text) for text in (artefact.path, part, user))
    finished = await inside.run(
        f"{MAKE_FOLDER}\n[ -f {source} ] || exit 3\n"
        f"make_folder {owner} {shlex.quote(part.rpartition('/')[0])} && cp -- {source} {target} "
        f"&& chown {owner}: {target} || exit 1\n"
        f"sha256sum < {target} | cut -d' ' -f1",
        user=ROOT,
        cwd="/",
    )
    if finished.exit_code == 3:
        raise _lost(artefact, address, "The file is not there any more.")
    if finished.exit_code != 0:
        raise errors.execution_failed(
            "An input could not be copied", exit_code=finished.exit_code, output=finished.stderr, address=address
        )
    if finished.stdout.strip() != artefact.sha256:
        await inside.run(f"rm -f -- {target}", user=ROOT, cwd="/")
        raise _lost(artefact, address, "The file is not what the step left.")


async def _send_kept(results: Results, inside: Inside, part: str, artefact: Artefact, user: str, address: str) -> None:
    """From what this machine keeps."""
    passing = _Passing()
    try:
        await inside.send(part, passing.through(results.read(artefact.sha256)), user=user)
    except OSError as problem:
        raise _lost(artefact, address, f"{problem.strerror or problem}.") from problem
    await _check(inside, part, passing, artefact, address)


async def _stream(world: World, inside: Inside, part: str, artefact: Artefact, user: str, address: str) -> None:
    """From one sandbox through this process into another; only the piece at hand is in memory."""
    passing = _Passing()
    try:
        source = await world.sandboxes.open(artefact.sandbox, artefact.address)
    except ProviderError as problem:
        raise _source_problem(problem, artefact, address) from problem
    try:
        await inside.send(part, passing.through(source.receive(artefact.path, user=ROOT)), user=user)
    except ProviderError as problem:
        if passing.problem is not None:
            raise _source_problem(passing.problem, artefact, address) from problem
        raise
    await _check(inside, part, passing, artefact, address)


async def _check(inside: Inside, part: str, passing: _Passing, artefact: Artefact, address: str) -> None:
    if passing.digest.hexdigest() != artefact.sha256:
        await inside.run(f"rm -f -- {shlex.quote(part)}", user=ROOT, cwd="/")
        raise _lost(artefact, address, "The file is not what the step left.")


class _Passing:
    """A stream on its way through: what passed, and what was wrong with its source rather than its target."""

    def __init__(self) -> None:
        self.digest = hashlib.sha256()
        self.problem: ProviderError | None = None

    async def through(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        try:
            async for chunk in chunks:
                self.digest.update(chunk)
                yield chunk
        except ProviderError as problem:
            self.problem = problem
            raise


def _source_problem(problem: ProviderError, artefact: Artefact, address: str) -> ProviderError:
    code = problem.diagnostic.code
    if isinstance(problem, Gone) or code in (errors.SANDBOX_NOT_RUNNING, "file-not-found"):
        return _lost(artefact, address, f"{problem.diagnostic.summary}.")
    return problem


def _lost(artefact: Artefact, address: str, why: str) -> ProviderError:
    return errors.failure(
        "artefact-lost",
        "An input can't be had any more",
        detail=f"{artefact.path} in {artefact.address}: {why}",
        hint="run the step that makes it again with «nexus run … --force»",
        address=address,
    )
