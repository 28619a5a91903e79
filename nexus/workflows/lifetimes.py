"""Use cases that begin or end the time of live sandboxes: stop, start, extend, delete.

The state is not changed: what they do to a sandbox of the project is what the next plan finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from nexus.model.diagnostics import Diagnostic, DiagnosticsError
from nexus.providers.base import ProviderError
from nexus.providers.operating import Contents, Executions, LiveSandbox, Operator
from nexus.workflows.operating import Place, Sandbox, about, as_known, seen_now

_AT_ONCE: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """``before`` is the sandbox as it was; ``executions`` is None where it was paused already."""

    before: LiveSandbox
    executions: Executions | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A sandbox before and after something that changes until when it lives."""

    before: LiveSandbox
    after: LiveSandbox


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleted:
    """``contents`` is None where nobody could look: the sandbox was paused, or did not answer."""

    sandbox: LiveSandbox
    contents: Contents | None
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    """What was deleted, and what was not and why."""

    deleted: Sequence[Deleted]
    problems: Sequence[Diagnostic]


async def stop(operator: Operator, sandbox: Sandbox) -> Stopped:
    """Pause it, with its memory and disk kept. One that is paused stays so."""
    with about(sandbox):
        before = await seen_now(operator, sandbox)
        if before.status != "running":
            return Stopped(before=before, executions=None)
        executions = await operator.executions(sandbox.id)
        await operator.pause(sandbox.id)
    return Stopped(before=before, executions=executions)


async def start(operator: Operator, sandbox: Sandbox, lifetime: int | None) -> Moved:
    """Make a paused one run again for ``lifetime`` seconds, None for its own timeout. One that runs is left alone."""
    with about(sandbox):
        before = await seen_now(operator, sandbox)
        if before.status == "running":
            return Moved(before=before, after=before)
        await operator.resume(sandbox.id, lifetime or sandbox.timeout)
        return Moved(before=before, after=await seen_now(operator, sandbox))


async def extend(operator: Operator, sandbox: Sandbox, lifetime: int) -> Moved:
    """Let it live for ``lifetime`` seconds from now, whether that is longer or shorter than it had."""
    with about(sandbox):
        before = await seen_now(operator, sandbox)
        await operator.set_timeout(sandbox.id, lifetime)
        return Moved(before=before, after=await seen_now(operator, sandbox))


async def find_all(place: Place, operator: Operator) -> Sequence[LiveSandbox]:
    """Every live sandbox of the project's environment; outside of a project, of the account."""
    labels = {"nexus.project": place.project, "nexus.environment": place.environment} if place.project else {}
    with about(None):
        return as_known(place, await operator.list(labels))


async def find_each(operator: Operator, sandboxes: Sequence[Sandbox]) -> Sequence[LiveSandbox]:
    """These sandboxes as they are now, each once. Raises DiagnosticsError, before anything is done, if one is gone."""
    found: dict[str, LiveSandbox] = {}
    for sandbox in sandboxes:
        with about(sandbox):
            found[sandbox.id] = await seen_now(operator, sandbox)
    return list(found.values())


async def delete(operator: Operator, sandboxes: Sequence[LiveSandbox]) -> Deletion:
    """Remove them for good, several at once. A failure of one does not keep the others."""
    slots = asyncio.Semaphore(_AT_ONCE)

    async def one(item: LiveSandbox) -> Deleted | Diagnostic:
        async with slots:
            try:
                return await _delete(operator, item)
            except DiagnosticsError as problem:
                return problem.diagnostics[0]

    results = await asyncio.gather(*(one(item) for item in sandboxes))
    return Deletion(
        deleted=[item for item in results if isinstance(item, Deleted)],
        problems=[item for item in results if isinstance(item, Diagnostic)],
    )


async def _delete(operator: Operator, item: LiveSandbox) -> Deleted:
    contents = await _contents(operator, item)
    with about(Sandbox(id=item.id, address=item.address)):
        await operator.kill(item.id)
    return Deleted(sandbox=item, contents=contents, at=datetime.now().astimezone())


async def _contents(operator: Operator, item: LiveSandbox) -> Contents | None:
    """A sandbox whose inside does not answer is deleted all the same."""
    if item.status != "running":
        return None
    try:
        return await operator.contents(item.id)
    except ProviderError:
        return None
