"""Drift as people read it."""

from __future__ import annotations

from nexus.model.addresses import Address
from nexus.planning import Drift, DriftCause, DriftReport
from nexus.render.drift import print_drift
from tests.render.conftest import Screen


def test_what_is_gone_is_said_once_and_the_command_that_plans_it_is_whole(screen: Screen) -> None:
    gone = Drift(
        address=Address("sandbox", "web"),
        id="i0",
        uid="u",
        cause=DriftCause.GONE,
        detail="gone: killed or removed outside nexus",
    )
    console, stream = screen(80)
    print_drift(console, DriftReport(drifts=(gone,), looked_at=1), look="nexus plan --deep -e prod")
    assert [line.rstrip() for line in stream.getvalue().splitlines() if line] == [
        "   ≠ sandbox.web  gone: killed or removed outside nexus",
        "Drift: 1 gone, in 1 object. «nexus plan --deep -e prod» shows what an apply would do about it.",
    ]
