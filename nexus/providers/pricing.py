"""What sandboxes cost at E2B, by its published rates: data with a date, and the formula that goes with it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final

from nexus.providers.operating import LiveSandbox

_HOUR: Final = 3600
_MIB_PER_GIB: Final = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """US dollars for a second of what a sandbox has been given, used or not. Disk is included; paused ones are free."""

    vcpu_second: float
    gib_second: float
    as_of: date
    source: str


E2B_RATES: Final = Rates(
    vcpu_second=0.000014,
    gib_second=0.0000045,
    as_of=date(2026, 8, 6),
    source="https://e2b.dev/docs/billing",
)


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
    gib = sandbox.memory_mib / _MIB_PER_GIB
    return Spent(
        since=sandbox.started_at,
        seconds=seconds,
        cpu_hours=sandbox.cpus * seconds / _HOUR,
        memory_hours=gib * seconds / _HOUR,
        dollars=(sandbox.cpus * rates.vcpu_second + gib * rates.gib_second) * seconds,
    )
