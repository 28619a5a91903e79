"""The limits of an account, and those of E2B's tiers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

DEFAULT_MAX_TIMEOUT = 24 * 3600
DEFAULT_MAX_SANDBOXES = 1000


@dataclass(frozen=True, slots=True)
class Rate:
    """``requests`` in ``seconds``, which may all come at once."""

    requests: int
    seconds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """None is no limit. ``max_timeout`` is in seconds: the longest life of a sandbox."""

    tier: str | None = None
    max_timeout: int = DEFAULT_MAX_TIMEOUT
    concurrent_sandboxes: int = DEFAULT_MAX_SANDBOXES
    concurrent_builds: int | None = None
    volumes: int | None = None
    snapshots: int | None = None
    secrets: int | None = None
    create_rate: Rate | None = None
    request_rate: Rate | None = None


_REQUESTS = Rate(20_000, 30)

TIERS: Mapping[str, Limits] = {
    "hobby": Limits(
        tier="hobby",
        max_timeout=3600,
        concurrent_sandboxes=20,
        concurrent_builds=20,
        create_rate=Rate(1),
        request_rate=_REQUESTS,
    ),
    "pro": Limits(
        tier="pro",
        max_timeout=24 * 3600,
        concurrent_sandboxes=100,
        concurrent_builds=20,
        create_rate=Rate(5),
        request_rate=_REQUESTS,
    ),
}
