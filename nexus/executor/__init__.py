"""The only room that causes change: it walks the operations of a plan, and clears up after runs that did not end."""

from __future__ import annotations

from nexus.executor.clock import Clock, SystemClock
from nexus.executor.executor import Executor
from nexus.executor.pacing import Limits
from nexus.executor.recovery import GRACE, LEASE, Recovered, recover
from nexus.executor.results import ApplyResult, Lookup, Resolve, Resolved
from nexus.executor.scheduling import Estimate, usual_estimate

__all__ = [
    "GRACE",
    "LEASE",
    "ApplyResult",
    "Clock",
    "Estimate",
    "Executor",
    "Limits",
    "Lookup",
    "Recovered",
    "Resolve",
    "Resolved",
    "SystemClock",
    "recover",
    "usual_estimate",
]
