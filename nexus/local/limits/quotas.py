"""The limits in force, and what has been used of them. One object for the whole engine: limits change while it runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from nexus.local.clock import Clock
from nexus.local.errors import ConflictError, TooManyError
from nexus.local.limits.buckets import Allowance, TokenBucket
from nexus.local.limits.model import Limits, Rate


class Quotas:
    """Asked before something is made; what is refused is refused in E2B's words."""

    def __init__(self, limits: Limits, clock: Clock) -> None:
        self._clock = clock
        self._initial = limits
        self._starting = 0
        self.replace(limits)

    @property
    def limits(self) -> Limits:
        return self._limits

    @property
    def initial(self) -> Limits:
        """What the engine was started with."""
        return self._initial

    def replace(self, limits: Limits) -> None:
        """Other limits from now on. What exceeds them already goes on; the rates begin afresh."""
        self._limits = limits
        self._creates = self._bucket(limits.create_rate)
        self._requests = self._bucket(limits.request_rate)

    @property
    def max_timeout(self) -> int:
        return self._limits.max_timeout

    def request(self, *, creates: bool) -> Allowance | None:
        """Count a request; the allowance is that of the scarcest rate it falls under, None when there is no rate."""
        allowance = self._requests.take() if self._requests is not None else None
        if creates and self._creates is not None and (allowance is None or allowance.granted):
            return self._creates.take()
        return allowance

    @contextlib.contextmanager
    def starting(self, running: int, count: int = 1) -> Iterator[None]:
        """Room for ``count`` sandboxes beside the ``running`` ones, held while they start. Raises TooManyError."""
        limit = self._limits.concurrent_sandboxes
        if running + self._starting + count > limit:
            raise TooManyError(
                f"you have reached the maximum number of concurrent E2B sandboxes ({limit}). "
                "If you need more, end some or raise the limit of the local engine"
            )
        self._starting += count
        try:
            yield
        finally:
            self._starting -= count

    def check_builds(self, building: int) -> None:
        limit = self._limits.concurrent_builds
        if limit is not None and building >= limit:
            raise TooManyError(
                f"you have reached the maximum number of concurrent template builds ({limit}). "
                "Please wait for existing builds to finish"
            )

    def check_volumes(self, existing: int) -> None:
        self._check_count("volumes", existing, self._limits.volumes)

    def check_snapshots(self, existing: int) -> None:
        self._check_count("snapshots", existing, self._limits.snapshots)

    def check_secrets(self, existing: int) -> None:
        if self._limits.secrets is not None and existing >= self._limits.secrets:
            raise ConflictError(
                f"you have reached the maximum number of secrets ({self._limits.secrets})",
                error_code="secret_limit_reached",
            )

    def _check_count(self, what: str, existing: int, limit: int | None) -> None:
        if limit is not None and existing >= limit:
            raise TooManyError(f"you have reached the maximum number of {what} ({limit})")

    def _bucket(self, rate: Rate | None) -> TokenBucket | None:
        return None if rate is None else TokenBucket(rate, self._clock)
