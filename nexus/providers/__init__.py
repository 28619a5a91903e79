"""What stands between nexus and the live objects: one protocol, and what a call leaves in the state."""

from __future__ import annotations

from nexus.providers.base import (
    LEASE_SECONDS,
    Call,
    Certainty,
    Found,
    Gone,
    Inventory,
    LimitReached,
    Live,
    Provider,
    ProviderError,
    Result,
    TooFast,
)
from nexus.providers.recording import record_after
from nexus.providers.reporting import Report

__all__ = [
    "LEASE_SECONDS",
    "Call",
    "Certainty",
    "Found",
    "Gone",
    "Inventory",
    "LimitReached",
    "Live",
    "Provider",
    "ProviderError",
    "Report",
    "Result",
    "TooFast",
    "record_after",
]
