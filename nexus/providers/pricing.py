"""What a live sandbox has used, and what that costs by E2B's rates."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nexus.costs import E2B_RATES
from nexus.model.costs import Rates, Size
from nexus.providers.operating import LiveSandbox

_HOUR: Final = 3600
_MIB_PER_GIB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a sandbox was given since ``since``: vCPU hours, GiB hours of memory, and what that costs in dollars."""

    since: datetime
    seconds: float
    cpu_hours: float
    memory_hours: float
    dollars: float


def spent(sandbox: LiveSandbox, now: datetime, rates: Rates = E2B_RATES) -> Spent:
    """From its last start until ``now``; until it was paused where it is. E2B tells nothing of what was before."""
    end = now.astimezone(UTC) if sandbox.status == "running" else sandbox.expires_at
    seconds = max((end - sandbox.started_at).total_seconds(), 0.0)
    return Spent(
        since=sandbox.started_at,
        seconds=seconds,
        cpu_hours=sandbox.cpus * seconds / _HOUR,
        memory_hours=sandbox.memory_mib / _MIB_PER_GIB * seconds / _HOUR,
        dollars=float(rates.per_second(Size(sandbox.cpus, sandbox.memory_mib))) * seconds,
    )
