"""What the section ``provider`` says of the account: how fast an apply may go, and what a plan may ask for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nexus.executor import Limits
from nexus.kinds.durations import parse_duration
from nexus.planning import AccountLimits
from nexus.workflows.loading import Project

TIERS: Final[Mapping[str, Mapping[str, object]]] = {
    "hobby": {
        "concurrent_sandboxes": 20,
        "max_timeout": "1h",
        "creates_per_second": 1,
        "api_requests_per_second": 666,
        "sandbox_requests_per_second": 666,
    },
    "pro": {
        "concurrent_sandboxes": 100,
        "max_timeout": "24h",
        "creates_per_second": 5,
        "api_requests_per_second": 666,
        "sandbox_requests_per_second": 666,
    },
}
"""What E2B allows on each of its plans: 20,000 requests to the API in 30 s, 40,000 into sandboxes in 60 s."""


@dataclass(frozen=True, slots=True)
class Said:
    """The section as written, over what its tier brings."""

    written: Mapping[str, object]
    whole: Mapping[str, object]

    def count(self, name: str) -> int | None:
        value = self.whole.get(name)
        return value if isinstance(value, int) else None

    def rate(self, name: str) -> float | None:
        value = self.whole.get(name)
        return float(value) if isinstance(value, int | float) else None


def _said(project: Project) -> Said:
    written = project.provider_settings
    return Said(written, {**TIERS.get(str(written.get("tier")), {}), **written})


def pacing(project: Project, parallelism: int | None) -> Limits:
    """How fast an apply may go. ``parallelism`` is what the command line says; it wins."""
    said, usual = _said(project), Limits()
    retries, budget = said.count("retries"), said.count("retry_budget")
    return Limits(
        concurrency=parallelism or said.count("parallelism") or usual.concurrency,
        creates_per_second=said.rate("creates_per_second"),
        api_requests_per_second=said.rate("api_requests_per_second"),
        sandbox_requests_per_second=said.rate("sandbox_requests_per_second"),
        attempts=usual.attempts if retries is None else retries + 1,
        retry_budget=usual.retry_budget if budget is None else budget,
    )


def account_limits(project: Project) -> AccountLimits:
    """What a plan may ask for."""
    said = _said(project)
    longest = said.whole.get("max_timeout")
    by_number = {"concurrent_sandboxes", "max_timeout"} <= said.written.keys()
    names = ("tier", "concurrent_sandboxes", "max_timeout")
    return AccountLimits(
        concurrent_sandboxes=said.count("concurrent_sandboxes"),
        max_timeout=parse_duration(longest) if isinstance(longest, int | str) else None,
        tier="" if by_number else str(said.written.get("tier", "")),
        places={name: project.manifest.places(("provider", name)) for name in names if name in said.written},
    )
