"""How long operations will take, as far as earlier runs of the project tell."""

from __future__ import annotations

from nexus.executor import Estimate, usual_estimate
from nexus.model.changes import Operation
from nexus.stores import Backend


async def read_estimate(backend: Backend) -> Estimate:
    """As long as in the project's earlier runs, else as such operations take as a rule."""
    learnt = await backend.durations.read()

    def estimate(operation: Operation) -> float:
        known = learnt.of(operation)
        return usual_estimate(operation) if known is None else known

    return estimate
