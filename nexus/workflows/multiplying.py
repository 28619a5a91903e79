"""Use cases `snapshot` and `fork`: more sandboxes out of what is in one. What they make belongs to no project."""

from __future__ import annotations

from nexus.providers.operating import Forks, Operator, Snapshot
from nexus.workflows.operating import Sandbox, about


async def take_snapshot(operator: Operator, sandbox: Sandbox, name: str | None) -> Snapshot:
    """Keep what is in it, to make sandboxes from; it stands still meanwhile."""
    with about(sandbox):
        return await operator.snapshot(sandbox.id, name)


async def fork(operator: Operator, sandbox: Sandbox, count: int, lifetime: int | None) -> Forks:
    """Make ``count`` more like it, which live for ``lifetime`` seconds, None for its own timeout."""
    with about(sandbox):
        return await operator.fork(sandbox.id, count, lifetime or sandbox.timeout)
